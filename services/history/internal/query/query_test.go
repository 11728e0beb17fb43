package query

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

func TestMain(m *testing.M) {
	os.Exit(pgtest.Run(m, func() error { return goleak.Find() }))
}

// slow is a database in which reading the room "slow" takes until the gate opens.
type slow struct {
	*database.Store
	reading chan struct{}
	gate    chan struct{}
}

func (s slow) Older(ctx context.Context, place record.Place, before record.ID, n int, each func(record.Message) bool) error {
	if place.Target == "room.slow" {
		s.reading <- struct{}{}
		<-s.gate
	}
	return s.Store.Older(context.WithoutCancel(ctx), place, before, n, each)
}

// Search takes until the gate opens.
func (s slow) Search(context.Context, string, []string, []record.Word, record.ID, int, func(record.Message) bool) error {
	s.reading <- struct{}{}
	<-s.gate
	return nil
}

// Unread takes until the gate opens.
func (s slow) Unread(_ context.Context, place record.Place, _ string, _ int) (count int, mark record.ID, err error) {
	if place.Target == contract.TargetAll {
		s.reading <- struct{}{}
	}
	<-s.gate
	return 0, mark, nil
}

const wait = 30 * time.Second

// TestSlowPages says that a slow page holds up no other, that what waits is bounded, and that what was taken
// is answered even when the service stops.
func TestSlowPages(t *testing.T) {
	srv := natstest.Run(t)
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "history.db"), sqlite.SyncNormal)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := slow{store, make(chan struct{}, workers+maxWaiting), make(chan struct{})}
	service := New(srv.Connect(t), s, Options{Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()

	nc := srv.Connect(t)
	ask := func(room string) string {
		for end := time.Now().Add(wait); ; {
			msg, err := nc.Request("natter.history.page", fmt.Appendf(nil, `{"namespace":"/","room":%q}`, room), wait)
			if err == nil {
				return string(msg.Data)
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
	const empty = `{"ok":true,"messages":[],"more":false}`
	if got := ask("fast"); got != empty { // the service runs
		t.Fatalf("%s; want %s", got, empty)
	}
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	askSlow := func(n int) {
		for range n {
			if err := nc.PublishRequest("natter.history.page", inbox, []byte(`{"namespace":"/","room":"slow"}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	askSlow(workers - 1)
	for range workers - 1 {
		<-s.reading
	}
	if got := ask("fast"); got != empty {
		t.Errorf("%s; want %s", got, empty)
	}
	askSlow(1)
	<-s.reading
	askSlow(maxWaiting)
	var r contract.Refusal
	if got := ask("fast"); json.Unmarshal([]byte(got), &r) != nil || r.Code != contract.CodeUnavailable {
		t.Errorf("with a full queue: %s; want a refusal", got)
	}
	stop()
	close(s.gate)
	for range workers + maxWaiting {
		msg, err := answers.NextMsg(wait)
		if err != nil || string(msg.Data) != empty {
			t.Fatalf("%v, %v; want %s", msg, err, empty)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWhatTakesLongHoldsUpNothingElse has as many searches, and counts of what is unread, as wait at most, none of which ends.
func TestWhatTakesLongHoldsUpNothingElse(t *testing.T) {
	srv := natstest.Run(t)
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "history.db"), sqlite.SyncNormal)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := slow{store, make(chan struct{}, 2*(apart+maxWaiting)), make(chan struct{})}
	service := New(srv.Connect(t), s, Options{Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	nc := srv.Connect(t)
	page := func() string {
		msg, err := nc.Request("natter.history.page", []byte(`{"namespace":"/","room":"red"}`), wait)
		if err != nil {
			return err.Error()
		}
		return string(msg.Data)
	}
	const empty = `{"ok":true,"messages":[],"more":false}`
	for end := time.Now().Add(wait); page() != empty; {
		if time.Now().After(end) {
			t.Fatal(page())
		}
	}
	type slowly struct {
		subject, request, answer string
		waiting                  int
		answers                  *nats.Subscription
	}
	asked := []*slowly{
		{subject: "natter.history.search", request: `{"namespace":"/","text":"the"}`, answer: empty, waiting: maxSearches},
		{subject: "natter.history.unread", request: `{"namespace":"/","rooms":[null,"red",null,null,"red"],"user":"u1"}`,
			answer: `{"ok":true,"rooms":[{"room":null,"unread":0},{"room":"red","unread":0}]}`, waiting: maxWaiting},
	}
	for _, a := range asked {
		inbox := nc.NewInbox()
		if a.answers, err = nc.SubscribeSync(inbox); err != nil {
			t.Fatal(err)
		}
		ask := func(n int) {
			for range n {
				if err := nc.PublishRequest(a.subject, inbox, []byte(a.request)); err != nil {
					t.Fatal(err)
				}
			}
		}
		ask(apart)
		for range apart {
			<-s.reading
		}
		ask(a.waiting)
		msg, err := nc.Request(a.subject, []byte(a.request), wait)
		var r contract.Refusal
		if err != nil || json.Unmarshal(msg.Data, &r) != nil || r.Code != contract.CodeUnavailable {
			t.Errorf("%s, one too many: %v, %v; want a refusal", a.subject, msg, err)
		}
		if got := page(); got != empty {
			t.Errorf("while there is too much of %s: %s; want %s", a.subject, got, empty)
		}
	}
	stop()
	close(s.gate)
	for _, a := range asked {
		answered := 0
		for range apart + a.waiting {
			msg, err := a.answers.NextMsg(wait)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case string(msg.Data) == a.answer:
				answered++
			case msg.Header.Get(contract.HeaderError) != contract.CodeUnavailable: // on a busy machine some have waited too long
				t.Fatalf("%s; want %s", msg.Data, a.answer)
			}
		}
		if answered < apart {
			t.Errorf("%d are answered with %s; want %d at least", answered, a.answer, apart)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestUnreadableDatabase closes the database under the service.
func TestUnreadableDatabase(t *testing.T) {
	srv := natstest.Run(t)
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "history.db"), sqlite.SyncNormal)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	service := New(srv.Connect(t), store, Options{Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	nc := srv.Connect(t)
	var msg *nats.Msg
	for end := time.Now().Add(wait); msg == nil && time.Now().Before(end); {
		msg, err = nc.Request("natter.history.page", []byte(`{"namespace":"/"}`), wait)
	}
	var r contract.Refusal
	if err != nil || json.Unmarshal(msg.Data, &r) != nil || r.Code != contract.CodeUnavailable || r.OK {
		t.Errorf("%v, %v; want a refusal", msg, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
