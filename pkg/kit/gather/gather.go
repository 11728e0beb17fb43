// Package gather collects the answers of all gateways to one request, the asker's half of the subjects
// natter.ask and natter.list. It knows when they are complete: every answer says how many gateways there
// are. It does not know what the answers say.
package gather

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

var (
	// ErrNoGateway says that nobody listens on the subject: no gateway runs, or for the target of one
	// socket, its gateway is gone.
	ErrNoGateway = errors.New("no gateway answers")
	// ErrIncomplete says that the deadline came before every gateway had answered. What was gathered by
	// then has been handed to the caller.
	ErrIncomplete = errors.New("not every gateway answered in time")
	// ErrRefused wraps a gateway's refusal of a malformed request.
	ErrRefused = errors.New("refused")
)

// maxPending bounds the answers that wait for each; beyond it NATS drops and the result is incomplete.
const maxPending = 4096

// All publishes the request and hands each answer to each, serially, until every gateway has answered
// or the context ends. The request's deadline for gateways goes into [contract.HeaderTimeout] and is the
// caller's to set, a little shorter than the context's.
//
// It returns nil when the answers are complete, else an error that wraps [ErrNoGateway], [ErrIncomplete],
// [ErrRefused], the error of each, or one of the connection.
func All(ctx context.Context, nc *nats.Conn, request *nats.Msg, each func(*nats.Msg) error) error {
	answers := make(chan *nats.Msg, maxPending)
	request.Reply = nc.NewInbox()
	sub, err := nc.ChanSubscribe(request.Reply, answers)
	if err != nil {
		return fmt.Errorf("subscribing to the answers: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection, where nothing is left to undo
	if err := nc.PublishMsg(request); err != nil {
		return fmt.Errorf("publishing on %s: %w", request.Subject, err)
	}
	var seen tally
	for !seen.complete() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s: %s", ErrIncomplete, request.Subject, &seen)
		case msg, ok := <-answers:
			if !ok {
				return fmt.Errorf("waiting for answers: %w", nats.ErrConnectionClosed)
			}
			if len(msg.Data) == 0 && msg.Header.Get("Status") == "503" {
				return fmt.Errorf("%w on %s", ErrNoGateway, request.Subject)
			}
			if code := contract.Last(contract.Header(msg.Header), contract.HeaderError); code != "" {
				return fmt.Errorf("%w: %s: %s", ErrRefused, code, msg.Data)
			}
			if err := seen.add(contract.Header(msg.Header)); err != nil {
				return err
			}
			if err := each(msg); err != nil {
				return err
			}
		}
	}
	return nil
}

// tally counts the parts that each gateway has sent.
type tally struct {
	gateways int            // how many there are, by the newest word
	left     map[string]int // gateway → parts still to come
	done     int            // gateways of which every part is here
}

func (t *tally) add(h contract.Header) error {
	gateway := contract.Last(h, contract.HeaderGateway)
	gateways, err := strconv.Atoi(contract.Last(h, contract.HeaderGateways))
	if gateway == "" || err != nil || gateways < 1 {
		return fmt.Errorf("%w: an answer without %s and %s", contract.ErrBadHeader, contract.HeaderGateway, contract.HeaderGateways)
	}
	parts := 1
	if part := contract.Last(h, contract.HeaderPart); part != "" {
		_, total, _ := strings.Cut(part, "/")
		if parts, err = strconv.Atoi(total); err != nil || parts < 1 {
			return fmt.Errorf("%w: %s: %q", contract.ErrBadHeader, contract.HeaderPart, part)
		}
	}
	if t.left == nil {
		t.left = make(map[string]int)
	}
	t.gateways = max(t.gateways, gateways)
	left, known := t.left[gateway]
	if !known {
		left = parts
	}
	t.left[gateway] = left - 1
	if left == 1 {
		t.done++
	}
	return nil
}

func (t *tally) complete() bool { return t.gateways > 0 && t.done >= t.gateways }

func (t *tally) String() string {
	if t.gateways == 0 {
		return "no gateway answered"
	}
	return fmt.Sprintf("%d of %d gateways answered", t.done, t.gateways)
}
