package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// maxAllow bounds how many clients wait for the answer whether they may connect: they hold a request each and are
// not counted as connections yet.
const maxAllow = 1024

var errCrowd = fmt.Errorf("%w: too many wait for the answer whether they may connect", session.ErrUnavailable)

// Allow asks the service of the name, once, whether a client may connect. An error means that nobody has decided:
// the client is not to be let in, and tries again by itself.
func (b *Bridge) Allow(ctx context.Context, name string, request contract.AllowRequest) (contract.Allowance, error) {
	subject, err := b.opts.Subjects.Allow(name)
	if err != nil {
		return contract.Allowance{}, err
	}
	var a contract.Allowance
	select {
	case b.asked <- struct{}{}:
		a, err = b.allowOnce(ctx, subject, request)
		<-b.asked
	default:
		err = errCrowd
	}
	if err != nil && ctx.Err() == nil {
		b.opts.Metrics.Dropped("handshake not decided")
		b.often(&b.lately.allow, "nobody says whether a client may connect; it is turned away for now", "subject", subject, "error", err)
	}
	return a, err
}

func (b *Bridge) allowOnce(ctx context.Context, subject string, request contract.AllowRequest) (contract.Allowance, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return contract.Allowance{}, fmt.Errorf("handshake: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	reply, err := b.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: data})
	if err != nil {
		return contract.Allowance{}, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	return allowance(reply)
}

// allowance reads an answer. What is neither a yes nor a no is no answer.
func allowance(reply *nats.Msg) (contract.Allowance, error) {
	if code := reply.Header.Get(contract.HeaderMicroCode); code != "" {
		return contract.Allowance{}, fmt.Errorf("error %s: %s", code, reply.Header.Get(contract.HeaderMicroError))
	}
	var a struct {
		OK *bool `json:"ok"`
		contract.Allowance
	}
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return contract.Allowance{}, fmt.Errorf("not an allowance: %w", err)
	}
	if a.OK == nil {
		return contract.Allowance{}, errors.New(`not an allowance: "ok" is missing`)
	}
	if len(a.Message) > maxRefusal {
		return contract.Allowance{}, fmt.Errorf("not an allowance: a message of %d bytes, at most %d are allowed", len(a.Message), maxRefusal)
	}
	a.Allowance.OK = *a.OK
	return a.Allowance, nil
}

// maxRefusal bounds what a refused client is told, in bytes.
const maxRefusal = 4096
