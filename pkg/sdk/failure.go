package sdk

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/natter-io/natter/pkg/contract"
)

// panicked is what a panic of a handler becomes.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// guard gives a handler its deadline and survives its panic. Its error is for [run.failed], unless it is a [Refusal].
func (r *run) guard(h func(context.Context) error) (err error) { return r.guardIn(r.ctx, h) }

// guardIn is guard with a context of the run's that has values.
func (r *run) guardIn(ctx context.Context, h func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, r.server.opts.HandlerTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.server.stats.panics.Add(1)
			err = &panicked{p, debug.Stack()}
		}
	}()
	return h(ctx)
}

// failed counts and logs, once, that something failed which is no refusal.
func (r *run) failed(what string, err error, about ...any) {
	r.server.stats.failed.Add(1)
	about = append(about, "error", err)
	var p *panicked
	if errors.As(err, &p) {
		about = append(about, "stack", string(p.stack))
	}
	r.server.log.Error(what, about...)
}

// detail is what a client's ack says of a failure: nothing, unless [Options.ErrorDetail].
func (r *run) detail(j job, err error) Ack {
	if !r.server.opts.ErrorDetail || j.what.Kind != contract.On {
		return nil
	}
	return Ack{contract.Refuse(contract.CodeInternal, fmt.Sprintf("%s: %v", j.what.Event, err))}
}
