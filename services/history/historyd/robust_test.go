package historyd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

func TestPostsWaitWhileTheServiceIsDown(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",1]`)
	f.awaitRoom("red", 1)
	f.stop()
	for i := range 20 {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i+2))
	}
	s := f.start()
	page := f.awaitRoom("red", 21)
	for i, m := range page.Messages {
		if want := fmt.Sprintf(`["m",%d]`, i+1); string(m.Event) != want || m.Stamp.ID != f.id(uint64(i+1)) {
			t.Errorf("message %d: %s, %s; want %s", i, m.Event, m.Stamp.ID, want)
		}
	}
	f.settled()
	if n := metric(t, s, "stored_total"); n != 20 {
		t.Errorf("stored %v after the restart; want 20", n)
	}
}

// TestUnstorableMessagesAreSkipped mixes what can never be stored with what can.
func TestUnstorableMessagesAreSkipped(t *testing.T) {
	f := newFixture(t)
	s := f.start()
	for _, p := range [][]string{
		{"natter.post._.room.red", `hello`},
		{"natter.post._.room.red", `{"a":1}`},
		{"natter.post._.room.red", `[]`},
		{"natter.post._.room.red", `[1,2]`},
		{"natter.post._.room.red", `["x"] ["y"]`},
		{"natter.post._.room.red", "[\"\xff\"]"},
		{"natter.post._.room.red", ``},
		{"natter.post._.room.red", `["x"]`, contract.HeaderAttachments, "99"},
		{"natter.post._.room.red", `["x"]`, contract.HeaderAttachments, "x"},
		{"natter.post._.room.=2e", `["x"]`},
		{"natter.post._.socket.gw.short", `["x"]`},
		{"natter.post.=.all", `["x"]`},
		{"natter.post._.many", `["x"]`},
		{"natter.post._.many", `["x"]`, contract.HeaderRooms, "red,,blue"},
		{"natter.post.=2.all", `["x"]`},
	} {
		f.publish(p[0], p[1], p[2:]...)
		f.say(contract.To("good"), `["good"]`)
	}
	f.awaitRoom("good", 15)
	f.settled()
	if skipped, stored := metric(t, s, "skipped_total"), metric(t, s, "stored_total"); skipped != 15 || stored != 15 {
		t.Errorf("skipped %v, stored %v; want 15 and 15", skipped, stored)
	}
	if n := len(f.page("red", "", 1).Messages); n != 0 {
		t.Errorf("%d messages in red; want none", n)
	}
	if err := f.log.has("skipped a message", "=2e", "sequence=19", "upper-case"); err != nil {
		t.Errorf("%v\n%s", err, f.log)
	}
}

// TestALockedDatabaseIsWaitedFor takes a lock as another process would, which lets the service read and not write.
func TestALockedDatabaseIsWaitedFor(t *testing.T) {
	f := newFixture(t)
	s := f.start()
	f.say(contract.To("red"), `["m",1]`)
	f.awaitRoom("red", 1)
	release := f.lock()
	f.say(contract.To("red"), `["m",2]`)
	f.until("a log line on the lock", func() error { return f.log.has("history stands still", "store 1 messages", "retry=") })
	if n := len(f.page("red", "", 10).Messages); n != 1 {
		t.Errorf("%d messages while locked; want 1", n)
	}
	release()
	f.awaitRoom("red", 2)
	f.settled()
	if n := metric(t, s, "store_failures_total"); n < 1 {
		t.Errorf("%v failures counted; want at least 1", n)
	}
}

func TestNATSGoesAwayAndComesBack(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",1]`)
	f.awaitRoom("red", 1)
	f.srv.Restart()
	f.until("the test's own connection", func() error {
		ctx, cancel := context.WithTimeout(f.ctx(), 2*time.Second) // a question that was lost with the connection is not answered
		defer cancel()
		_, err := f.main.Info(ctx)
		return err
	})
	f.say(contract.To("red"), `["m",2]`)
	f.awaitRoom("red", 2)
	f.settled()
}

func TestStopsWhileItWaits(t *testing.T) {
	f := newFixture(t)
	f.srv.Shutdown()
	f.start()
	f.until("a log line", func() error { return f.log.has("waiting for NATS") })
	f.stop()
}

// TestStartsInAnyOrder has neither NATS nor the main stream at the start.
func TestStartsInAnyOrder(t *testing.T) {
	f := newFixture(t)
	if err := f.js.DeleteStream(f.ctx(), "NATTER"); err != nil {
		t.Fatal(err)
	}
	f.srv.Shutdown()
	s := f.start()
	f.until("a log line", func() error { return f.log.has("waiting for NATS") })
	if r := s.Health().Report(f.ctx()); r.Ready || r.Checks["database"] != "ok" || r.Checks["nats"] == "ok" || r.Checks["streams"] == "ok" {
		t.Errorf("readiness without NATS: %+v", r)
	}
	f.srv.Restart()
	f.until("a log line", func() error { return f.log.has("waiting for the main stream") })
	f.until("readiness with NATS", func() error {
		if r := s.Health().Report(f.ctx()); !r.Ready {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	if f.log.has("storing what is posted") == nil {
		t.Error("it says that it stores, and there is no stream")
	}
	f.makeMain()
	f.until("a log line", func() error { return f.log.has("storing what is posted") })
	f.say(contract.To("red"), `["m",1]`)
	f.awaitRoom("red", 1)
}

func TestHealthPages(t *testing.T) {
	f := newFixture(t)
	f.cfg.Health = health.Options{Listen: "127.0.0.1:0"}
	s := f.start()
	f.say(contract.To("red"), `["m"]`)
	f.awaitRoom("red", 1)
	f.until("readiness", func() error {
		r, err := http.Get("http://" + s.Health().Addr().String() + "/readyz")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return errors.New(r.Status)
		}
		return nil
	})
	http.DefaultClient.CloseIdleConnections()
}

func TestSettings(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	var cfg Config
	if err := config.Load("natter-history", "x", []string{"--help"}, &cfg, config.Stdout(&help), config.Environ(nil)); !errors.Is(err, config.ErrDone) || !strings.Contains(help.String(), "--database") {
		t.Errorf("--help: %v\n%s", err, &help)
	}
	if err := config.Load("natter-history", "x", nil, &cfg, config.Environ(nil)); err != nil || cfg.PostsAge != 30*24*time.Hour || cfg.Sync != "full" {
		t.Errorf("defaults: %+v, %v", cfg, err)
	}
	if err := config.Load("natter-history", "x", []string{"--keep", "-5m"}, &cfg, config.Environ(nil)); err == nil || !strings.Contains(err.Error(), "keep: -5m0s is negative: 0s keeps messages for ever (--keep)") {
		t.Errorf("a negative age: %v", err)
	}
	cfg.Keep = 0
	for want, change := range map[string]func(*Config){
		"prefix":                func(c *Config) { c.Prefix = "a.b" },
		"database":              func(c *Config) { c.Database = "" },
		"sync":                  func(c *Config) { c.Sync = "off" },
		"postsAge":              func(c *Config) { c.PostsAge = time.Second },
		"batch":                 func(c *Config) { c.Batch = 0 },
		"replicas":              func(c *Config) { c.Replicas = 6 },
		"url":                   func(c *Config) { c.NATS.URL = "" },
		"not of PostgreSQL":     func(c *Config) { c.Database = "mysql://x" },
		"connection string":     func(c *Config) { c.Database = "postgres://x:abc/y" },
		"databasePassword":      func(c *Config) { c.Password = "secret" },
		"keep: -1s":             func(c *Config) { c.Keep = -time.Second },
		"keepRooms: x: red":     func(c *Config) { c.KeepRooms = map[string]map[string]time.Duration{"x": {"red": time.Hour}} },
		"keepRooms: /: red: -1": func(c *Config) { c.KeepRooms = map[string]map[string]time.Duration{"/": {"red": -time.Second}} },
	} {
		bad := cfg
		change(&bad)
		if _, err := New(bad, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestAnUnusableDatabaseEndsTheService(t *testing.T) {
	f := newFixture(t)
	want := t.TempDir() // a directory
	f.cfg.Database = want
	if kind == "postgres" {
		want = "nowhere"
		f.cfg.Database = strings.Replace(newDatabase(t), "///", "///nowhere", 1)
	}
	s, err := New(f.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run: %v; want an error that names the database", err)
	}
}

// TestASecondInstanceOnAnSQLiteFileEnds starts it beside another, which goes on.
func TestASecondInstanceOnAnSQLiteFileEnds(t *testing.T) {
	f := newFixture(t)
	f.cfg.Database = filepath.Join(t.TempDir(), "history.db")
	f.start()
	f.say(contract.To("red"), `["m",1]`)
	f.awaitRoom("red", 1)
	second, err := New(f.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(f.ctx()); !errors.Is(err, sqlite.ErrInUse) || !strings.Contains(err.Error(), f.cfg.Database) {
		t.Errorf("Run: %v; want an error that names the file", err)
	}
	f.say(contract.To("red"), `["m",2]`)
	f.awaitRoom("red", 2)
}
