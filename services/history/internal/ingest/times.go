package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// times looks up when the main stream stored messages, which is the time in the stamp that clients heard
// live. JetStream gives a copied message the time of the copy and keeps the original one nowhere, so it is
// asked for: one Direct Get for a batch (ADR-31). Only while the main stream still has them, though; what
// is read later, when the service was down for longer than the recovery window, bears the time of the copy,
// usually a millisecond later.
type times struct {
	nc     *nats.Conn
	stream string
	filter string
	log    *slog.Logger
}

const (
	directWait = time.Second
	clocks     = time.Second // that of the copies may be behind that of the main stream, at another server
	// A replica that lags behind does not have the newest messages for a few milliseconds.
	staleTries = 4
	stalePause = 5 * time.Millisecond
)

// fill sets the times of posts that come from the main stream of the identity. It fails only while there is no
// connection.
func (t *times) fill(ctx context.Context, posts []post, identity string) error {
	ctx, cancel := context.WithTimeout(ctx, directWait)
	defer cancel()
	missing := make(map[int64]*post)
	for i := range posts {
		if p := &posts[i]; p.identity == "" || p.identity == identity {
			missing[p.record.ID.Sequence] = p
		}
	}
	for tries := 0; len(missing) > 0 && tries < staleTries; {
		first := record.Newest.Sequence
		for sequence := range missing {
			first = min(first, sequence)
		}
		last, err := t.get(ctx, first, len(missing), func(msg *nats.Msg, stored contract.Stored) {
			p := missing[int64(stored.Sequence)]
			// The comparison tells a stream that was made again in between, or went back.
			if p != nil && stored.Subject == p.msg.Subject() && bytes.Equal(msg.Data, p.msg.Data()) && !stored.Time.IsZero() && stored.Time.Before(p.record.Copied.Add(clocks)) {
				p.record.Time, p.record.Exact = stored.Time, true
			}
		})
		if err != nil && !t.nc.IsConnected() {
			return err // wait for NATS: what is stored with the time of the copy keeps it
		}
		if err != nil {
			t.log.Warn("cannot ask the main stream for the times of messages; taking those of their copies", "stream", t.stream, "error", err)
			return nil
		}
		for sequence := range missing { // those before last that were not in the answer are gone
			if sequence <= last {
				delete(missing, sequence)
			}
		}
		if last < first {
			tries++
			sleep(ctx, stalePause)
		}
	}
	return nil
}

// get hands the posts from sequence first on to each, at most n, and returns the sequence of the last one, or
// 0 if there are none.
func (t *times) get(ctx context.Context, first int64, n int, each func(*nats.Msg, contract.Stored)) (last int64, err error) {
	request, err := json.Marshal(struct {
		Seq     int64  `json:"seq"`
		Batch   int    `json:"batch"`
		NextFor string `json:"next_by_subj"`
	}{first, n, t.filter})
	if err != nil {
		return 0, err
	}
	answers := make(chan *nats.Msg, n+2)
	inbox := t.nc.NewInbox()
	sub, err := t.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return 0, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection, where nothing is left to undo
	if err := t.nc.PublishRequest("$JS.API.DIRECT.GET."+t.stream, inbox, request); err != nil {
		return 0, err
	}
	for {
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("direct get: %w", ctx.Err())
		case msg, ok := <-answers:
			if !ok {
				return last, nats.ErrConnectionClosed
			}
			h := contract.Header(msg.Header)
			if status := msg.Header.Get("Status"); status != "" && len(msg.Data) == 0 && len(h["Nats-Sequence"]) == 0 {
				switch status {
				case "204", "404", "503": // end of the batch; nothing there; no such stream
					return last, nil
				}
				return last, fmt.Errorf("direct get: %s %s", status, msg.Header.Get("Description"))
			}
			stored, err := contract.ParseStored(h)
			if err != nil {
				return last, fmt.Errorf("direct get: %w", err)
			}
			last = int64(stored.Sequence)
			each(msg, stored)
		}
	}
}
