package historyd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/natsconn"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/history/internal/pgtest"
)

// kind is the database that the tests use. All of them run with each: with SQLite here, and with PostgreSQL at the
// same time in a process of its own, since they mostly wait.
var kind = cmp.Or(os.Getenv("NATTER_TEST_DATABASE"), "sqlite")

func TestMain(m *testing.M) {
	if kind == "postgres" {
		os.Exit(testAll(m))
	}
	var args []string
	for _, arg := range os.Args[1:] { // but for the files that go test wants from this process
		if !strings.HasPrefix(arg, "-test.testlogfile") && !strings.HasPrefix(arg, "-test.coverprofile") {
			args = append(args, arg)
		}
	}
	other := exec.Command(os.Args[0], args...)
	other.Env = append(os.Environ(), "NATTER_TEST_DATABASE=postgres")
	output, err := os.CreateTemp("", "natter-test-") // a buffer would take a goroutine
	if err == nil {
		other.Stdout, other.Stderr = output, output
		err = other.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := testAll(m)
	err = other.Wait()
	text, rerr := os.ReadFile(output.Name())
	fmt.Printf("with PostgreSQL:\n%s", text)
	if errors.Join(err, rerr, os.Remove(output.Name())) != nil {
		code = 1
	}
	os.Exit(code)
}

func testAll(m *testing.M) int {
	return pgtest.Run(m, func() error {
		return goleak.Find(
			// A server that is shut down while it looks for a missing source gives up only when its timeout comes.
			goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"))
	})
}

// newDatabase is the setting for an empty database.
func newDatabase(t *testing.T) string {
	t.Helper()
	if kind == "postgres" {
		return pgtest.New(t)
	}
	return filepath.Join(t.TempDir(), "history.db")
}

// deadline bounds every wait. JetStream takes up to ten seconds to copy from a stream that was made again.
const deadline = 60 * time.Second

// fixture is a NATS server with the main stream, a database path, and at most one running service.
type fixture struct {
	t    *testing.T
	srv  *natstest.Server
	nc   *nats.Conn
	js   jetstream.JetStream
	main jetstream.Stream
	cfg  Config
	log  *logbook
	tune func(*Service) // what has no setting

	stop func()
}

func newFixture(t *testing.T, opts ...natstest.Option) *fixture {
	t.Helper()
	t.Parallel()
	srv := natstest.Run(t, opts...)
	f := fixtureOn(t, srv.Connect(t), srv.URL(), 1)
	f.srv = srv
	return f
}

func fixtureOn(t *testing.T, nc *nats.Conn, url string, replicas int) *fixture {
	t.Helper()
	f := &fixture{t: t, nc: nc, log: &logbook{}, tune: func(*Service) {}, stop: func() {}}
	var err error
	if f.js, err = jetstream.New(f.nc); err != nil {
		t.Fatal(err)
	}
	f.cfg = Config{
		NATS: natsconn.Options{URL: url}, Prefix: "natter", Database: newDatabase(t),
		Sync: "normal", PostsAge: time.Hour, Batch: 256, Replicas: replicas, Health: health.Options{Listen: ""},
	}
	f.makeMain()
	return f
}

var (
	subjects contract.Subjects
	one      = provision.Storage{Replicas: 1, MaxBytes: -1}
)

func (f *fixture) makeMain() {
	f.t.Helper()
	var err error
	if f.main, err = provision.Main(f.ctx(), f.js, subjects, time.Hour, time.Minute, provision.Storage{Replicas: f.cfg.Replicas, MaxBytes: -1}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	f.t.Cleanup(cancel)
	return ctx
}

// start runs the service until the test ends or stop is called.
func (f *fixture) start() *Service {
	f.t.Helper()
	s, err := New(f.cfg, slog.New(slog.NewTextHandler(f.log, nil)))
	if err != nil {
		f.t.Fatal(err)
	}
	f.tune(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("Run: %v", err)
		}
	})
	f.t.Cleanup(f.stop)
	return s
}

// say posts an event to a target and returns the ack.
func (f *fixture) say(target contract.Target, event string, headers ...string) *jetstream.PubAck {
	f.t.Helper()
	subject, err := subjects.To(contract.Post, "/", target)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.publish(subject, event, headers...)
}

func (f *fixture) publish(subject, payload string, headers ...string) *jetstream.PubAck {
	f.t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(payload)
	for i := 0; i < len(headers); i += 2 {
		msg.Header.Add(headers[i], headers[i+1])
	}
	ack, err := f.js.PublishMsg(f.ctx(), msg)
	if err != nil {
		f.t.Fatal(err)
	}
	return ack
}

// id is the id under which live clients know a message of the main stream.
func (f *fixture) id(sequence uint64) string {
	return contract.MessageID(contract.Epoch(f.main.CachedInfo().Created), sequence)
}

// ask requests a page as JSON text.
func (f *fixture) ask(request string) (*nats.Msg, error) {
	return f.nc.RequestWithContext(f.ctx(), "natter.history.page", []byte(request))
}

// page asks until the service answers with a page.
func (f *fixture) page(room string, before string, limit int) contract.HistoryPage {
	f.t.Helper()
	request, err := json.Marshal(contract.HistoryRequest{Namespace: "/", Room: &room, Before: before, Limit: limit})
	if err != nil {
		f.t.Fatal(err)
	}
	return f.pageOf(string(request))
}

func (f *fixture) pageOf(request string) contract.HistoryPage {
	f.t.Helper()
	var page contract.HistoryPage
	f.until("an answer", func() error {
		msg, err := f.ask(request)
		if err != nil {
			return err
		}
		page = contract.HistoryPage{}
		if err := json.Unmarshal(msg.Data, &page); err != nil {
			return err
		}
		if !page.OK {
			return fmt.Errorf("refused: %s", msg.Data)
		}
		return nil
	})
	return page
}

// awaitRoom pages until the room's newest page has n messages.
func (f *fixture) awaitRoom(room string, n int) contract.HistoryPage {
	f.t.Helper()
	var page contract.HistoryPage
	f.until(fmt.Sprintf("%d messages in room %s", n, room), func() error {
		if page = f.page(room, "", contract.MaxHistoryPage); len(page.Messages) != n {
			return fmt.Errorf("there are %d", len(page.Messages))
		}
		return nil
	})
	return page
}

// until tries until there is no error, the more seldom the longer it takes.
func (f *fixture) until(what string, try func() error) {
	f.t.Helper()
	for began := time.Now(); ; time.Sleep(max(10*time.Millisecond, time.Since(began)/20)) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(began) > deadline {
			f.t.Fatalf("%s: %v\nlog:\n%s", what, err, f.log)
		}
	}
}

// settled waits until the service has acknowledged all posts.
func (f *fixture) settled() {
	f.t.Helper()
	f.until("an empty queue", func() error {
		posts, err := f.js.Stream(f.ctx(), "NATTER_POSTS")
		if err != nil {
			return err
		}
		main, err := f.main.Info(f.ctx(), jetstream.WithSubjectFilter("natter.post.>"))
		if err != nil {
			return err
		}
		want := uint64(0)
		for _, n := range main.State.Subjects {
			want += n
		}
		// Asked last: before everything was copied, nothing being pending would say nothing.
		c, err := f.js.Consumer(f.ctx(), "NATTER_POSTS", "history")
		if err != nil {
			return err
		}
		i := c.CachedInfo()
		if got := posts.CachedInfo().State.Msgs; got < want || i.NumPending > 0 || i.NumAckPending > 0 {
			return fmt.Errorf("%d of %d posts copied, %d pending, %d not acknowledged", got, want, i.NumPending, i.NumAckPending)
		}
		return nil
	})
}

// metric is the value of a counter or gauge of the service.
func metric(t *testing.T, s *Service, name string) float64 {
	t.Helper()
	families, err := s.Health().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "natter_history_"+name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// logbook collects what a service logs.
type logbook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logbook) has(words ...string) error {
	for _, line := range strings.Split(l.String(), "\n") {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return nil
		}
	}
	return errors.New("no log line with " + strings.Join(words, ", "))
}
