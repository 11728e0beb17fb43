package ingest

import (
	"context"
	"time"
)

// Check says why nothing can be stored now, if that is so.
func (in *Ingester) Check(context.Context) error {
	if err := in.problem.Load(); err != nil {
		return *err
	}
	return nil
}

// stands notes why nothing can be stored; nil if it can.
func (in *Ingester) stands(err error) {
	if err == nil {
		in.problem.Store(nil)
		return
	}
	in.problem.Store(&err)
}

// standsStill notes and logs why nothing can be stored.
func (in *Ingester) standsStill(err error, retry time.Duration) {
	in.stands(err)
	if in.still.IsZero() {
		in.still = time.Now()
	}
	in.Log.Error("history stands still; posts wait in their stream", "error", err, "retry", retry)
}

// goesOn notes that posts can be stored, and logs it if it was not so.
func (in *Ingester) goesOn() {
	in.stands(nil)
	if !in.still.IsZero() {
		in.Log.Info("history goes on", "after", time.Since(in.still).Round(time.Millisecond))
		in.still = time.Time{}
	}
}
