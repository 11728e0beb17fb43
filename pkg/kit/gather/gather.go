// Package gather collects the answers of all gateways to one request, the asker's half of the subjects
// natter.ask and natter.list. It knows when they are complete: every answer says how many gateways there
// are, and which. It does not know what the answers say.
package gather

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

// Probe is a subject that the gateway alone hears, and answers when it is asked there: see [contract.Subjects.ListNobody].
type Probe func(gateway string) (subject string, err error)

// All is [Gatherer.All] without a probe: it waits for every gateway that holds a lease, those too that were killed.
func All(ctx context.Context, nc *nats.Conn, request *nats.Msg, each func(*nats.Msg) error) error {
	return New(nc).All(ctx, request, nil, each)
}

// Gatherer asks gateways, and remembers which of them NATS did not reach. It may be used from any goroutine.
type Gatherer struct {
	nc     *nats.Conn
	absent absences
}

// New makes a gatherer on the connection.
func New(nc *nats.Conn) *Gatherer { return &Gatherer{nc: nc} }

// All publishes the request and hands each answer to each, serially, until every gateway has answered
// or the context ends. The request's deadline for gateways goes into [contract.HeaderTimeout] and is the
// caller's to set, a little shorter than the context's.
//
// Gateways that keep it waiting are asked on the probe's subject, unless it is nil. One of which NATS says for [gone] that
// nobody is there has been killed or has lost NATS, and is not waited for, as if its lease had ended; one that is
// there is waited for. A subscriber to all subjects, such as nats sub 'natter.>', hides who is gone.
//
// It returns nil when the answers are complete, else an error that wraps [ErrNoGateway], [ErrIncomplete],
// [ErrRefused], the error of each, or one of the connection.
func (g *Gatherer) All(ctx context.Context, request *nats.Msg, probe Probe, each func(*nats.Msg) error) error {
	answers := make(chan *nats.Msg, maxPending)
	inbox := g.nc.NewInbox()
	sub, err := g.nc.ChanSubscribe(inbox+".>", answers)
	if err != nil {
		return fmt.Errorf("subscribing to the answers: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection, where nothing is left to undo
	request.Reply = inbox + ".answer"
	if err := g.nc.PublishMsg(request); err != nil {
		return fmt.Errorf("publishing on %s: %w", request.Subject, err)
	}
	var seen tally
	doubts := &doubts{gatherer: g, probe: probe, inbox: inbox + ".probe."}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	for !seen.complete() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s: %s", ErrIncomplete, request.Subject, &seen)
		case <-wait.C:
			if err := doubts.ask(seen.missing()); err != nil {
				return err
			}
			wait.Reset(doubts.pause())
		case msg, ok := <-answers:
			if !ok {
				return fmt.Errorf("waiting for answers: %w", nats.ErrConnectionClosed)
			}
			if gateway, ok := strings.CutPrefix(msg.Subject, doubts.inbox); ok {
				if doubts.answered(gateway, msg) {
					seen.goneIs(gateway)
				}
				wait.Reset(doubts.pause())
				continue
			}
			if nobody(msg) {
				return fmt.Errorf("%w on %s", ErrNoGateway, request.Subject)
			}
			if code := contract.Last(contract.Header(msg.Header), contract.HeaderError); code != "" {
				return fmt.Errorf("%w: %s: %s", ErrRefused, code, msg.Data)
			}
			gateway, err := seen.add(contract.Header(msg.Header))
			if err != nil {
				return err
			}
			g.absent.forget(gateway)
			if err := each(msg); err != nil {
				return err
			}
			if err := doubts.ask(g.absent.among(seen.missing())); err != nil { // they may be so still
				return err
			}
			wait.Reset(doubts.pause())
		}
	}
	return nil
}

// nobody says whether a message is NATS's word that nobody subscribes to what was asked.
func nobody(msg *nats.Msg) bool { return len(msg.Data) == 0 && msg.Header.Get("Status") == "503" }
