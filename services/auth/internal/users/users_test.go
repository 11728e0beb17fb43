package users

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/buckets"
	"github.com/natter-io/natter/services/auth/internal/passwords"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var subjects contract.Subjects

// world is the administration with the streams around it.
type world struct {
	*Users
	js    jetstream.JetStream
	store *accounts.Store
}

func newWorld(t *testing.T) world {
	t.Helper()
	js, err := jetstream.New(natstest.Run(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := buckets.Open(t.Context(), js, provision.Storage{Replicas: 1}, "ACCOUNTS", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Events(t.Context(), js, subjects, 0, provision.Storage{Replicas: 1, MaxBytes: -1}); err != nil {
		t.Fatal(err)
	}
	store := accounts.NewStore(kv)
	return world{New(store, passwords.NewHasher(1), js, subjects, slog.New(slog.DiscardHandler)), js, store}
}

func (w world) addNamespaces(t *testing.T, tokens ...string) {
	t.Helper()
	kv, err := provision.Namespaces(t.Context(), w.js, subjects, provision.Storage{Replicas: 1, MaxBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		if _, err := kv.PutString(t.Context(), token, "{}"); err != nil {
			t.Fatal(err)
		}
	}
}

func (w world) addMainStream(t *testing.T) {
	t.Helper()
	if _, err := provision.Main(t.Context(), w.js, subjects, time.Hour, time.Minute, provision.Storage{Replicas: 1, MaxBytes: -1}); err != nil {
		t.Fatal(err)
	}
}

// stored returns the messages of a stream, oldest first.
func (w world) stored(t *testing.T, stream string) []*jetstream.RawStreamMsg {
	t.Helper()
	s, err := w.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var msgs []*jetstream.RawStreamMsg
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, m)
	}
	return msgs
}

func subjectsOf(msgs []*jetstream.RawStreamMsg) []string {
	var all []string
	for _, m := range msgs {
		all = append(all, m.Subject)
	}
	slices.Sort(all)
	return all
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	w.addNamespaces(t, "_", "admin", "a=2Fb")
	w.addMainStream(t)
	u, err := w.Create(t.Context(), "Alice", "password1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing for others
		if err := w.Delete(t.Context(), u.ID, "u_boss"); err != nil {
			t.Fatal(err)
		}
	}
	facts := w.stored(t, subjects.Names().Events)
	var fact contract.UserDeleted
	if len(facts) != 1 || facts[0].Subject != "natter.event.user.deleted" || json.Unmarshal(facts[0].Data, &fact) != nil ||
		fact.User != u.ID || fact.Name != "Alice" || fact.By != "u_boss" || time.Since(fact.Time) > time.Minute {
		t.Fatalf("facts: %v, %+v", facts, fact)
	}
	orders := w.stored(t, subjects.Names().Stream)[:3]
	room := ".room.user=3A" + u.ID
	if got, want := subjectsOf(orders), []string{"natter.do._" + room, "natter.do.a=2Fb" + room, "natter.do.admin" + room}; !slices.Equal(got, want) {
		t.Errorf("orders on %q; want %q", got, want)
	}
	for _, m := range orders {
		if string(m.Data) != `["disconnect",true]` || m.Header.Get(contract.HeaderUser) != "u_boss" {
			t.Errorf("order %s with %v", m.Data, m.Header)
		}
	}
	if err := w.Delete(t.Context(), "u_nobody", ""); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("deleting nobody: %v; want ErrNotFound", err)
	}
}

// Without a gateway there are no namespaces and no sockets, and nothing to wait for.
func TestDeleteBeforeTheFirstGateway(t *testing.T) {
	w := newWorld(t)
	u, err := w.Create(t.Context(), "Alice", "password1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), u.ID, ""); err != nil {
		t.Error(err)
	}
}

// A deletion that stopped half-way: the order to disconnect cannot be stored. It ends by itself later, here
// through another instance, and then leaves the log.
func TestInterruptedDeletionIsCompleted(t *testing.T) {
	w := newWorld(t)
	w.addNamespaces(t, "_")
	u, err := w.Create(t.Context(), "Alice", "password1", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := w.Delete(ctx, u.ID, ""); err == nil {
		t.Fatal("a deletion succeeded that could not disconnect anybody")
	}
	if _, err := w.store.ByName(t.Context(), "Alice"); !errors.Is(err, accounts.ErrNotFound) {
		t.Fatalf("the user can still sign in: %v", err)
	}

	w.addMainStream(t)
	live, err := w.js.Conn().SubscribeSync("natter.live._.room.*")
	if err != nil {
		t.Fatal(err)
	}
	other := *w.Users
	other.settle, other.interval = 0, 10*time.Millisecond
	running, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- other.Run(running) }()
	msg, err := live.NextMsg(10 * time.Second)
	if err != nil || contract.Last(contract.Header(msg.Header), "Nats-Subject") != "natter.do._.room.user=3A"+u.ID {
		t.Errorf("no order to disconnect: %v, %v", msg, err)
	}
	watch, err := w.js.KeyValue(t.Context(), "ACCOUNTS")
	if err != nil {
		t.Fatal(err)
	}
	updates, err := watch.Watch(t.Context(), "deletions")
	if err != nil {
		t.Fatal(err)
	}
	for entry := range updates.Updates() {
		if entry != nil && string(entry.Value()) == "[]" {
			break
		}
	}
	if err := updates.Stop(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if facts := w.stored(t, subjects.Names().Events); len(facts) != 1 {
		t.Errorf("%d facts are stored; want 1", len(facts))
	}
}

// Until it has settled a deletion stays in the log: a client that was admitted just before is still to come.
func TestDeletionSettles(t *testing.T) {
	w := newWorld(t)
	w.addNamespaces(t, "_")
	w.addMainStream(t)
	u, err := w.Create(t.Context(), "Alice", "password1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), u.ID, ""); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for _, c := range []struct {
		after        time.Duration
		logged, sent int
	}{{settle / 2, 1, 1}, {settle + time.Second, 0, 2}, {2 * settle, 0, 2}} {
		w.now = func() time.Time { return begun.Add(c.after) }
		if err := w.complete(t.Context()); err != nil {
			t.Fatal(err)
		}
		log, _, err := w.store.Deletions(t.Context())
		if sent := len(w.stored(t, subjects.Names().Stream)); err != nil || len(log) != c.logged || sent != c.sent {
			t.Errorf("after %s: %d in the log, %d orders, %v; want %d and %d", c.after, len(log), sent, err, c.logged, c.sent)
		}
	}
}

func TestDisconnectSocket(t *testing.T) {
	w := newWorld(t)
	w.addMainStream(t)
	if err := Disconnect(t.Context(), w.js, subjects, "/chat", "gw1.abcdefghijABCDEFGH_-", ""); err != nil {
		t.Fatal(err)
	}
	if got := subjectsOf(w.stored(t, subjects.Names().Stream)); !slices.Equal(got, []string{"natter.do.chat.socket.gw1.abcdefghijABCDEFGH_-"}) {
		t.Errorf("order on %q", got)
	}
	if err := Disconnect(t.Context(), w.js, subjects, "chat", "x", ""); err == nil {
		t.Error("a namespace without a slash was accepted")
	}
}
