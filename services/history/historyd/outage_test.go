package historyd

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/pgtest"
)

// TestPostgresGoesAwayAndComesBack freezes PostgreSQL, then kills it, while posts go on: they come late, and each
// comes once.
func TestPostgresGoesAwayAndComesBack(t *testing.T) {
	f := newFixture(t)
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	f.cfg.Database, f.cfg.Batch = server.Database(t), 16
	f.tune = func(s *Service) { s.storeWait = time.Second }
	s := f.start()
	n := 0
	say := func(count int) {
		for range count {
			f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, n))
			n++
		}
	}
	all := func() {
		t.Helper()
		page := f.awaitRoom("red", n)
		for i, m := range page.Messages {
			if string(m.Event) != fmt.Sprintf(`["m",%d]`, i) || m.Stamp.ID != f.id(uint64(i+1)) {
				t.Fatalf("message %d is %s %s", i, m.Event, m.Stamp.ID)
			}
		}
		f.settled()
	}
	stats := func() (r contract.StatsReply, err error) {
		msg, err := f.nc.RequestWithContext(f.ctx(), "natter.history.stats", nil)
		if err == nil {
			err = json.Unmarshal(msg.Data, &r)
		}
		return r, err
	}
	say(20)
	all()

	if err := server.Freeze(); err != nil {
		t.Fatal(err)
	}
	say(40)
	f.until("a store that fails", func() error {
		if r := s.Health().Report(f.ctx()); r.Ready || r.Checks["posts"] == "ok" || r.Checks["database"] == "ok" {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	f.until("stats that say so", func() error {
		r, err := stats()
		if err == nil && (r.Reached || r.Problem == "" || r.Lag < 40 || r.Database != "postgres") {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	failures := metric(t, s, "store_failures_total")
	if err := server.Thaw(); err != nil {
		t.Fatal(err)
	}
	all()
	if err := f.log.has("level=INFO", "history goes on", "after="); err != nil {
		t.Error(err)
	}
	if failures > 20 {
		t.Errorf("%v attempts while the database was frozen: there should be pauses between them", failures)
	}

	server.Kill()
	say(40)
	f.until("a page that is refused", func() error {
		msg, err := f.ask(`{"namespace":"/","room":"red"}`)
		var r contract.Refusal
		if err == nil && (json.Unmarshal(msg.Data, &r) != nil || r.Code != contract.CodeUnavailable) {
			err = fmt.Errorf("%.80s", msg.Data)
		}
		return err
	})
	f.until("a log line", func() error { return f.log.has("history stands still", "connect") })
	if err := server.Launch(); err != nil {
		t.Fatal(err)
	}
	all()

	f.stop()
	server.Kill()
	say(20)
	s = f.start()
	f.until("a log line", func() error { return f.log.has("waiting for it") })
	f.until("readiness that says so", func() error {
		if r := s.Health().Report(f.ctx()); r.Ready || r.Checks["database"] == "ok" {
			return errors.New("ready")
		}
		return nil
	})
	if err := server.Launch(); err != nil {
		t.Fatal(err)
	}
	all()
}

// TestInstancesShareTheWork has three instances on one database, one of which stops in between.
func TestInstancesShareTheWork(t *testing.T) {
	f := newFixture(t)
	f.cfg.Database, f.cfg.Batch = pgtest.New(t), 8 // an SQLite file is for one
	const n = 300
	stored := 0.0
	first := f.start()
	stop := f.stop
	f.page("red", "", 1) // it has made the tables
	all := []*Service{first, f.start(), f.start()}
	for i := range n {
		if i == n/2 {
			stop()
		}
		if _, err := f.js.PublishAsync("natter.post._.room.red", fmt.Appendf(nil, `["m",%d]`, i)); err != nil {
			t.Fatal(err)
		}
	}
	<-f.js.PublishAsyncComplete()
	f.settled()
	next, before := n, ""
	for {
		page := f.page("red", before, 100)
		for i := len(page.Messages) - 1; i >= 0; i-- {
			next--
			if want := fmt.Sprintf(`["m",%d]`, next); string(page.Messages[i].Event) != want {
				t.Fatalf("%s; want %s", page.Messages[i].Event, want)
			}
		}
		if !page.More {
			break
		}
		before = page.Messages[0].Stamp.ID
	}
	for _, s := range all {
		stored += metric(t, s, "stored_total")
	}
	if next != 0 || stored != n {
		t.Errorf("%d messages were never met, %v were stored; want 0 and %d", next, stored, n)
	}
}
