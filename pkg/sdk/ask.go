package sdk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
)

// Answer is one client's ack, or another instance's.
type Answer struct {
	ID   string // the client's socket id; of an instance, its [Server.ID]
	Args Args
}

// EmitWithAck says an event to the clients and gathers their acks, in no order. It returns when all have
// answered, or with [ErrTimeout] and the answers that came in time. Nobody there is no error: no answers. The clients of a
// gateway that NATS does not reach are not waited for.
//
// The clients have [Broadcast.Timeout], or [Options.AckTimeout], to answer, a little less if the context ends before; it returns
// up to a quarter of a second later, since their answers have to come here. It is not stored: only who is connected is asked.
//
// Errors: [ErrTimeout], [ErrLeftOut], [ErrNoGateway], those of the context, encoding and connection; answers may be
// returned beside each.
func (b Broadcast) EmitWithAck(ctx context.Context, event string, args ...any) ([]Answer, error) {
	msg, err := b.message(ctx, contract.Ask, event, args)
	if err != nil {
		return nil, fmt.Errorf("emit %q with ack: %w", event, err)
	}
	var answers []Answer
	expected := make(map[string]int) // by gateway: an answer in parts says it in each
	err = b.gather(ctx, msg, func(reply *nats.Msg) error {
		h := contract.Header(reply.Header)
		var part []contract.Answer
		if err := json.Unmarshal(reply.Data, &part); err != nil {
			return fmt.Errorf("answer of gateway %s: %w", contract.Last(h, contract.HeaderGateway), err)
		}
		for _, a := range part {
			ack := Args{attachments: a.Attachments}
			if err := json.Unmarshal(a.Ack, &ack.values); err != nil {
				return fmt.Errorf("ack of socket %s: %w", a.ID, err)
			}
			answers = append(answers, Answer{a.ID, ack})
		}
		n, _ := strconv.Atoi(contract.Last(h, contract.HeaderExpected))
		gateway := contract.Last(h, contract.HeaderGateway)
		expected[gateway] = max(expected[gateway], n)
		return nil
	})
	asked := 0
	for _, n := range expected {
		asked += n
	}
	if err == nil && len(answers) < asked {
		err = fmt.Errorf("%w: %d of %d clients answered", ErrTimeout, len(answers), asked)
	}
	if err != nil {
		return answers, fmt.Errorf("emit %q with ack: %w", event, err)
	}
	return answers, nil
}

// FetchSockets returns the sockets, in no order, of all gateways that NATS reaches: one that was killed is not waited for.
//
// Errors: [ErrTimeout] with the sockets of the gateways that answered in time, [ErrLeftOut] with the others,
// [ErrNoGateway], and those of the context and the connection.
func (b Broadcast) FetchSockets(ctx context.Context) ([]*RemoteSocket, error) {
	msg, err := b.addressed(contract.List)
	if err != nil {
		return nil, fmt.Errorf("fetch sockets: %w", err)
	}
	var sockets []*RemoteSocket
	err = b.gather(ctx, msg, func(reply *nats.Msg) error {
		var part []contract.SocketInfo
		if err := json.Unmarshal(reply.Data, &part); err != nil {
			return fmt.Errorf("answer of gateway %s: %w", contract.Last(contract.Header(reply.Header), contract.HeaderGateway), err)
		}
		for _, info := range part {
			sockets = append(sockets, newRemoteSocket(b.server, cmp.Or(info.Namespace, b.namespace), contract.Last(contract.Header(reply.Header), contract.HeaderGateway), info))
		}
		return nil
	})
	if err != nil {
		return sockets, fmt.Errorf("fetch sockets: %w", err)
	}
	return sockets, nil
}

// Count is how many sockets there are, over all gateways: FetchSockets without the sockets.
//
// Errors: those of FetchSockets, beside what the gateways that answered in time have.
func (b Broadcast) Count(ctx context.Context) (int, error) {
	msg, err := b.addressed(contract.List)
	if err != nil {
		return 0, fmt.Errorf("count sockets: %w", err)
	}
	msg.Header.Set(contract.HeaderCount, "1")
	count := 0
	err = b.gather(ctx, msg, func(reply *nats.Msg) error {
		h := contract.Header(reply.Header)
		n, err := strconv.Atoi(contract.Last(h, contract.HeaderExpected))
		if err != nil {
			return fmt.Errorf("answer of gateway %s: %w", contract.Last(h, contract.HeaderGateway), err)
		}
		count += n
		return nil
	})
	if err != nil {
		return count, fmt.Errorf("count sockets: %w", err)
	}
	return count, nil
}

// answerMargin is how long after the clients' time is over the gateways' answers are waited for.
const answerMargin = 250 * time.Millisecond

// gather asks every gateway. They have the whole time, and a margin for their answers to come, unless the context ends
// before. Gateways that NATS does not reach are not waited for.
func (b Broadcast) gather(ctx context.Context, msg *nats.Msg, each func(*nats.Msg) error) error {
	timeout := b.timeout
	if timeout <= 0 {
		timeout = b.server.opts.AckTimeout
	}
	wait := timeout + answerMargin
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		wait = min(wait, left)
		timeout = min(timeout, left-min(left/10, answerMargin))
	}
	if timeout <= 0 || ctx.Err() != nil {
		return errors.Join(ErrTimeout, ctx.Err())
	}
	msg.Header.Set(contract.HeaderTimeout, timeout.String())
	if done := b.server.done.Load(); done != 0 {
		msg.Header.Set(contract.HeaderAfter, strconv.FormatUint(done, 10))
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	probe := func(gateway string) (string, error) { return b.server.subjects.ListNobody(b.namespace, gateway) }
	leftOut := make(map[string]int) // by gateway: an answer in parts says it in each
	err := b.server.gatherer.All(limited, msg, probe, func(reply *nats.Msg) error {
		h := contract.Header(reply.Header)
		if n, _ := strconv.Atoi(contract.Last(h, contract.HeaderLeftOut)); n > 0 {
			leftOut[contract.Last(h, contract.HeaderGateway)] = n
		}
		return each(reply)
	})
	if errors.Is(err, gather.ErrIncomplete) {
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	if err != nil || len(leftOut) == 0 {
		return err
	}
	for _, gateway := range slices.Sorted(maps.Keys(leftOut)) {
		err = errors.Join(err, fmt.Errorf("%w: gateway %s left out %d", ErrLeftOut, gateway, leftOut[gateway]))
	}
	return err
}
