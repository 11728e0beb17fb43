package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// about are the lines that contain the text.
func (l *lines) about(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			all = append(all, line)
		}
	}
	return all
}

// failing is a server whose handlers fail, each with a text of its own.
func failing(t *testing.T, nc *nats.Conn, detail bool) *lines {
	t.Helper()
	log := &lines{}
	server := newServer(t, nc, func(o *sdk.Options) {
		o.ErrorDetail = detail
		o.Log = slog.New(slog.NewJSONHandler(log, nil))
	})
	ns := server.Of("/")
	ns.Use(func(_ context.Context, c *sdk.Client) error { return errors.New("the middleware's database is down") })
	ns.UseEvents(func(_ context.Context, _ *sdk.Socket, event string, _ sdk.Args) error {
		if event == "stopped" {
			return errors.New("the event's database is down")
		}
		return nil
	})
	ns.On("fail", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, errors.New("database down") })
	ns.On("panic", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { panic("boom") })
	ns.On("stopped", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{}, nil })
	ns.On("unencodable", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{func() {}}, nil })
	ns.On("forgotten", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, nil })
	ns.On("second", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
		return nil, errors.New("the first fails")
	})
	ns.On("second", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"the second answers"}, nil
	})
	ns.On("refuse", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, sdk.Refuse("not you", nil) })
	ns.OnDisconnect(func(context.Context, *sdk.Socket, string) { panic("at the end") })
	start(t, server)
	return log
}

func TestErrorDetail(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	log := failing(t, srv.Connect(t), true)
	for event, want := range map[string]string{
		"fail":    `[{"ok":false,"code":"internal","message":"fail: database down"}]`,
		"panic":   `[{"ok":false,"code":"internal","message":"panic: panic: boom"}]`,
		"stopped": `[{"ok":false,"code":"internal","message":"stopped: the event's database is down"}]`,
		"second":  `["the second answers"]`,
		"refuse":  `[{"ok":false,"code":"forbidden","message":"not you"}]`,
	} {
		equal(t, event, string(g.request(g.event("/", event, socketID("gw1", 1), `["`+event+`"]`)).Data), want)
	}
	text := string(g.request(g.event("/", "unencodable", socketID("gw1", 1), `["unencodable"]`)).Data)
	if !strings.HasPrefix(text, `[{"ok":false,"code":"internal","message":"unencodable: argument 0: json: unsupported type`) {
		t.Errorf("unencodable: %s", text)
	}
	if a := g.enter("/", "orders", `{}`, patience); a == nil || a.OK || a.Message != "the middleware's database is down" {
		t.Errorf("admission %+v", a)
	}
	forgotten := g.event("/", "forgotten", socketID("gw1", 1), `["forgotten"]`)
	forgotten.Reply = g.nc.NewInbox()
	must(t, g.nc.PublishMsg(forgotten))
	eventually(t, "a word about the ack that was forgotten", func() bool { return len(log.about("no handler here gave one")) == 1 })
}

// By default clients are told nothing of what is inside; the log has each failure once, a panic with its stack.
func TestFailuresAreLoggedOnce(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	log := failing(t, srv.Connect(t), false)
	replies := make(chan *nats.Msg, 16)
	inbox := g.nc.NewInbox()
	sub, err := g.nc.ChanSubscribe(inbox, replies)
	must(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	socket := socketID("gw1", 1)
	for _, event := range []string{"fail", "panic", "stopped", "unencodable", "forgotten"} {
		msg := g.event("/", event, socket, `["`+event+`"]`)
		msg.Reply = inbox
		must(t, g.nc.PublishMsg(msg))
	}
	g.say("/", "disconnect", socket, `["disconnect","transport close"]`)
	if a := g.enter("/", "orders", `{}`, 300*time.Millisecond); a != nil {
		t.Errorf("the middleware's error was answered: %+v", a)
	}
	eventually(t, "the last line of the log", func() bool { return len(log.about("at the end")) > 0 && len(log.about("middleware's")) > 0 })
	for _, text := range []string{"database down", "boom", "the event's", "unsupported type", "at the end", "the middleware's"} {
		about := log.about(text)
		if len(about) != 1 {
			t.Errorf("%q was logged %d times: %q", text, len(about), about)
			continue
		}
		var line struct{ Level, Subject, Stack string }
		must(t, json.Unmarshal([]byte(about[0]), &line))
		if line.Level != "ERROR" || !strings.HasPrefix(line.Subject, "natter.") {
			t.Errorf("logged %s", about[0])
		}
		if panics := text == "boom" || text == "at the end"; panics != strings.Contains(line.Stack, "failing") {
			t.Errorf("%q: stack %q", text, line.Stack)
		}
	}
	if lines := len(log.about(`"level":"ERROR"`)); lines != 6 {
		t.Errorf("%d errors were logged, want 6", lines)
	}
	if len(log.about("gave one")) != 0 {
		t.Error("a handler that leaves the ack to others was logged")
	}
	if len(replies) != 0 {
		t.Errorf("the client was told %s", (<-replies).Data)
	}
}
