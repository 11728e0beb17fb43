package natsconn

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logbook is a log that a test can wait on.
type logbook struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func newLog() (*logbook, *slog.Logger) {
	b := &logbook{more: make(chan struct{}, 1)}
	return b, slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
	return b.buf.Write(p)
}

func (b *logbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logbook) await(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(b.String(), want) {
		select {
		case <-b.more:
		case <-deadline:
			t.Fatalf("%q was not logged:\n%s", want, b.String())
		}
	}
}

func dial(t *testing.T, o Options, log *slog.Logger, extra ...nats.Option) *nats.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	nc, err := Dial(ctx, o, log, extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // goleak needs the callbacks to have ended
		closed := make(chan struct{})
		nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
		if !nc.IsClosed() {
			nc.Close()
			<-closed
		}
	})
	return nc
}

func conf(t *testing.T, text string) natstest.Option {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return natstest.WithConfigFile(path)
}

func TestDialAndReconnect(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	book, log := newLog()
	nc := dial(t, Options{URL: s.URL(), Name: "gateway", InboxPrefix: "_INBOX_gateway."}, log)
	if !strings.HasPrefix(nc.NewInbox(), "_INBOX_gateway.") || nc.Opts.Name != "gateway" {
		t.Errorf("inbox %s, name %s", nc.NewInbox(), nc.Opts.Name)
	}
	book.await(t, "connected to NATS")
	check := Check(nc)
	if err := check(t.Context()); err != nil {
		t.Error(err)
	}
	s.Shutdown()
	book.await(t, "lost the connection to NATS")
	if err := check(t.Context()); !errors.Is(err, ErrNotConnected) {
		t.Errorf("check while disconnected: %v", err)
	}
	if err := nc.Publish("x", nil); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("publish while disconnected: %v, want a refusal", err)
	}
	s.Restart()
	book.await(t, "connected to NATS again")
	if err := check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNATSStartsLater(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	s.Shutdown()
	book, log := newLog()
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		for !strings.Contains(book.String(), "waiting for NATS: is it running?") {
			<-book.more
		}
		s.Restart()
	}()
	nc := dial(t, Options{URL: s.URL()}, log)
	<-restarted
	if !nc.IsConnected() {
		t.Error("Dial returned without a connection")
	}
	if !strings.Contains(book.String(), "nats="+s.URL()) {
		t.Errorf("the log does not say where NATS is missing:\n%s", book.String())
	}
}

func TestDialEndsWithContext(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	s.Shutdown()
	_, log := newLog()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, Options{URL: s.URL()}, log)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), s.URL()) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q", err)
	}
}

func TestInProcess(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	book, log := newLog()
	nc := dial(t, Options{URL: "nats://127.0.0.1:1"}, log, s.InProcess())
	if err := nc.Flush(); err != nil {
		t.Error(err)
	}
	book.await(t, `msg="connected to NATS" nats="in this process" server=`)
	if strings.Contains(book.String(), "nats://") {
		t.Errorf("the log names an address that nobody has asked: %s", book)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	users := natstest.Run(t, conf(t, `authorization { users = [{user: gateway, password: geheim}] }`))
	token := natstest.Run(t, conf(t, `authorization { token: zeichen }`))
	nkeyFile := filepath.Join(t.TempDir(), "seed")
	public := writeNKey(t, nkeyFile)
	nkey := natstest.Run(t, conf(t, `authorization { users = [{nkey: `+public+`}] }`))

	for name, o := range map[string]Options{
		"user":  {URL: users.URL(), User: "gateway", Password: "geheim"},
		"token": {URL: token.URL(), Token: "zeichen"},
		"nkey":  {URL: nkey.URL(), NKeyFile: nkeyFile},
	} {
		_, log := newLog()
		if nc := dial(t, o, log); nc.Flush() != nil {
			t.Errorf("%s: cannot flush", name)
		}
	}
	for name, o := range map[string]Options{
		"wrong password": {URL: users.URL(), User: "gateway", Password: "hunter2"},
		"none":           {URL: users.URL()},
		"wrong token":    {URL: token.URL(), Token: "hunter2"},
		"in the URL":     {URL: strings.Replace(users.URL(), "://", "://gateway:hunter2@", 1)},
	} {
		book, log := newLog()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err := Dial(ctx, o, log)
		cancel()
		if !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", name, err)
		}
		if strings.Contains(book.String()+err.Error(), "hunter2") {
			t.Errorf("%s: the secret shows: %v\n%s", name, err, book.String())
		}
	}
}

func TestRefusalAfterReconnectIsSurvived(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nats.conf")
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(`authorization { users = [{user: a, password: `+password+`}] }`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("right")
	s := natstest.Run(t, natstest.WithConfigFile(path))
	book, log := newLog()
	nc := dial(t, Options{URL: s.URL(), User: "a", Password: "right"}, log)
	write("changed")
	s.Restart()
	book.await(t, "NATS refuses our credentials")
	write("right")
	s.Restart()
	book.await(t, "connected to NATS again")
	if err := nc.Flush(); err != nil {
		t.Error(err)
	}
}

func TestPermissionViolationIsLogged(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t, conf(t, `authorization { users = [{user: a, password: b, permissions: {publish: "ok", subscribe: "ok"}}] }`))
	book, log := newLog()
	nc := dial(t, Options{URL: s.URL(), User: "a", Password: "b"}, log)
	if err := nc.Publish("denied.subject", nil); err != nil {
		t.Fatal(err)
	}
	book.await(t, "denied.subject")
	if !strings.Contains(book.String(), "allow it for this service's user") {
		t.Errorf("got %s", book.String())
	}
}

func TestSlowConsumerIsLogged(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	book, log := newLog()
	nc := dial(t, Options{URL: s.URL()}, log)
	if _, err := nc.ChanSubscribe("busy", make(chan *nats.Msg, 1)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := nc.Publish("busy", nil); err != nil {
			t.Fatal(err)
		}
	}
	book.await(t, "slow consumer")
	if !strings.Contains(book.String(), "subject=busy") || !strings.Contains(book.String(), "dropped=") {
		t.Errorf("got %s", book.String())
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts Options
		want string
	}{
		"two ways":    {Options{URL: "x", Creds: "c", Token: "t"}, "creds and token are all set: choose one way to authenticate"},
		"no password": {Options{URL: "x", User: "u"}, "user and password go together: set both or neither"},
		"no key":      {Options{URL: "x", CertFile: "c"}, "certFile and keyFile go together: set both or neither"},
		"no url":      {Options{URL: " "}, "url is empty: name a server, such as nats://127.0.0.1:4222"},
		"good":        {Options{URL: "x", User: "u", Password: "p", CAFile: "c"}, ""},
	} {
		err := tc.opts.Validate()
		if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
	_, log := newLog()
	for name, o := range map[string]Options{
		"contradiction":  {URL: "x", User: "u"},
		"missing creds":  {URL: "x", Creds: "/nowhere/creds"},
		"missing nkey":   {URL: "x", NKeyFile: "/nowhere/nkey"},
		"missing CA":     {URL: "x", CAFile: "/nowhere/ca"},
		"missing client": {URL: "x", CertFile: "/nowhere/c", KeyFile: "/nowhere/k"},
		"no URL":         {URL: "::"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := Dial(ctx, o, log)
		if err == nil || ctx.Err() != nil {
			t.Errorf("%s: got %v, want a refusal before anything is tried", name, err)
		}
		cancel()
	}
}

func TestOptionsAreSettings(t *testing.T) {
	t.Parallel()
	var cfg struct {
		NATS Options `embed:"" prefix:"nats-"`
	}
	env := []string{"NATTER_GATEWAY_NATS_NKEY_FILE=n", "NATTER_GATEWAY_NATS_CA_FILE=c"}
	err := config.Load("natter-gateway", "", []string{"--nats-inbox-prefix=_INBOX_g"}, &cfg, config.Environ(env))
	if err != nil {
		t.Fatal(err)
	}
	want := Options{URL: "nats://127.0.0.1:4222", NKeyFile: "n", CAFile: "c", InboxPrefix: "_INBOX_g"}
	if cfg.NATS != want {
		t.Errorf("got %+v, want %+v", cfg.NATS, want)
	}
	err = config.Load("natter-gateway", "", []string{"--nats-user=u"}, &cfg, config.Environ(nil))
	if err == nil || err.Error() != "nats: user and password go together: set both or neither" {
		t.Errorf("got %v", err)
	}
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"nats://127.0.0.1:4222":         "nats://127.0.0.1:4222",
		"nats://u:hunter2@h:1, tls://h": "nats://u:xxxxx@h:1,tls://h",
		"nats://hunter2@h":              "nats://xxxxx@h",
		"u:hunter2@h:1":                 "xxxxx@h:1",
		"h:1":                           "h:1",
	} {
		if got := redactURL(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
