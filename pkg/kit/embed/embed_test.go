package embed

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

const helperDir = "NATTER_TEST_EMBED_DIR"

// TestMain is also the program of the second process in TestStoreInUseByAnotherProcess.
func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		srv, err := Start(Options{StoreDir: dir})
		if err != nil {
			_, _ = os.Stdout.WriteString("refused: " + err.Error())
			return
		}
		_ = srv.Shutdown()
		_, _ = os.Stdout.WriteString("started")
		return
	}
	goleak.VerifyTestMain(m)
}

func run(t *testing.T, o Options) *Server {
	t.Helper()
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	srv, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

func dial(t *testing.T, url string, opts ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func TestDataSurvivesRestart(t *testing.T) {
	ctx := context.Background()
	o := Options{StoreDir: filepath.Join(t.TempDir(), "made", "by", "start"), SyncAlways: true}
	first, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	nc, js := dial(t, first.ClientURL())
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s.a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if err := errors.Join(first.Shutdown(), first.Shutdown()); err != nil {
		t.Fatal(err)
	}

	second := run(t, o)
	_, js = dial(t, "", second.InProcess())
	stream, err := js.Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, "s.a")
	if err != nil || string(msg.Data) != "kept" {
		t.Errorf("got %v, %v", msg, err)
	}
}

func TestLimits(t *testing.T) {
	srv := run(t, Options{MaxMemory: 1 << 20, MaxStore: 2 << 20, MaxPayload: 4096, ServerName: "little"})
	nc, js := dial(t, srv.ClientURL())
	if nc.MaxPayload() != 4096 || nc.ConnectedServerName() != "little" || srv.Name() != "little" {
		t.Errorf("max payload %d, name %s", nc.MaxPayload(), nc.ConnectedServerName())
	}
	_, err := js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, MaxBytes: 3 << 20})
	if err == nil {
		t.Error("a stream larger than the limit was accepted")
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	_, err = Start(Options{Port: port, StoreDir: dir})
	want := l.Addr().String() + " is already in use: another NATS or Natter is running there; " +
		"stop it or choose another port with --nats-port"
	if !errors.Is(err, ErrPortInUse) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	run(t, Options{StoreDir: dir}) // the failed start has freed the directory
}

func TestStoreInUse(t *testing.T) {
	dir := t.TempDir()
	run(t, Options{StoreDir: dir})
	_, err := Start(Options{StoreDir: dir})
	if !errors.Is(err, ErrStoreInUse) || !strings.HasPrefix(err.Error(), dir+" is already in use by another running Natter; ") ||
		!strings.HasSuffix(err.Error(), "--data") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestStoreInUseByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	start := func() string {
		t.Helper()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), helperDir+"="+dir)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	srv := run(t, Options{StoreDir: dir})
	if out := start(); !strings.HasPrefix(out, "refused: "+dir+" is already in use") {
		t.Errorf("while the directory is in use: %s", out)
	}
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if out := start(); out != "started" {
		t.Errorf("after the end of the first: %s", out)
	}
}

func TestStoreDirIsRequired(t *testing.T) {
	if _, err := Start(Options{}); err == nil || !strings.Contains(err.Error(), "StoreDir") {
		t.Errorf("got %v", err)
	}
}

func TestFatalFailsStart(t *testing.T) {
	dir := t.TempDir()
	// A file where JetStream wants its directory.
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(Options{StoreDir: dir, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("got %v", err)
	}
}

func TestMonitoringIsOffUnlessAsked(t *testing.T) {
	if s := run(t, Options{}); s.srv.MonitorAddr() != nil {
		t.Errorf("monitoring listens on %v", s.srv.MonitorAddr())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	run(t, Options{MonitorPort: port})
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://127.0.0.1:" + strconv.Itoa(port) + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %s", resp.Status)
	}
}

func TestConfigFileAndWarnings(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(conf, []byte(`authorization { users = [{user: a, password: b, permissions: {publish: "ok"}}] }`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	srv := run(t, Options{ConfigFile: conf, Log: slog.New(slog.NewTextHandler(&out, nil))})
	if _, err := nats.Connect(srv.ClientURL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without credentials: %v", err)
	}
	violations := make(chan error, 1)
	nc, _ := dial(t, srv.ClientURL(), nats.UserInfo("a", "b"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	if err := errors.Join(nc.Publish("denied", nil), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-violations:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("no violation reported")
	}
	if !strings.Contains(out.String(), "level=ERROR") || !strings.Contains(out.String(), "component=nats-server") {
		t.Errorf("the server's errors did not reach the log: %s", out.String())
	}
	if strings.Contains(out.String(), "level=INFO") {
		t.Errorf("notices reached the log: %s", out.String())
	}
	if _, err := Start(Options{StoreDir: t.TempDir(), ConfigFile: conf + ".missing"}); err == nil {
		t.Error("a missing configuration file is accepted")
	}
}

func TestSubscriptions(t *testing.T) {
	srv := run(t, Options{})
	nc, js := dial(t, srv.ClientURL(), nats.Name("me"))
	if _, err := js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "S", Subjects: []string{"stream.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.QueueSubscribeSync("natter.x", "q"); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	subs, err := srv.Subscriptions()
	if err != nil {
		t.Fatal(err)
	}
	want := Subscription{Client: "me", Subject: "natter.x", Queue: "q"}
	found := false
	for _, s := range subs {
		found = found || s == want
		if strings.HasPrefix(s.Subject, "stream.") || strings.HasPrefix(s.Subject, "$") {
			t.Errorf("the server's own subscription is listed: %+v", s)
		}
	}
	if !found {
		t.Errorf("%+v is not in %+v", want, subs)
	}
}

// lockedBuffer is written by the server and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
