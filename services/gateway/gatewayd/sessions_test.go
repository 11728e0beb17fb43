package gatewayd_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

var (
	sessionsSeed = flag.Uint64("sessions.seed", 1, "the mutated sessions: `seed` of the first; the next one has the next")
	sessionsFor  = flag.Duration("sessions.for", 6*time.Second, "the mutated sessions: for how `long` new ones are begun")
	sessionsN    = flag.Uint64("sessions.n", 1<<62, "the mutated sessions: the largest `number` of them")
)

const (
	atATime = 32 // sessions
	// leftover bounds what all the sessions together may leave on the heap, in bytes.
	leftover = 8 << 20
)

// TestMutatedSessionsHarmNobodyElse throws sessions that are nearly valid at two gateways, and at two more of the same
// deployment with the msgpack parser. Nothing may panic, hang,
// or stay behind; whoever else is connected notices nothing; and valid sessions among them play to their end.
func TestMutatedSessionsHarmNobodyElse(t *testing.T) {
	countHeld(t)
	var log panicLog
	d := deploy(&watched{TB: t, log: &log})
	settings := func(c *gatewayd.Config) {
		const aWhile = 5 * time.Second // for valid sessions on a machine that is busy
		c.PingInterval, c.PingTimeout, c.UpgradeTimeout, c.ConnectTimeout, c.AckTimeout = time.Second, aWhile, aWhile, aWhile, aWhile
		c.MaxHTTPBufferSize = 100_000
	}
	streams, leaf := withWebTransport(t)
	gws := d.gateways(2, settings, streams, func(c *gatewayd.Config) { c.AllowEIO3 = true })
	for range 2 {
		gws = append(gws, d.gateway(settings, withMsgpack))
	}
	for _, g := range gws {
		g.awaitPeers(len(gws))
	}
	d.serve("natter.on.*.echo.>", func(*nats.Msg) string { return `["echo"]` })
	d.admit("/guarded", func(contract.Entry) string { return `{"ok":true,"user":"u","rooms":["red"]}` })
	d.t = t

	everybody := moveIn(d, gws)
	there := place{trusted: leaf}
	for _, g := range gws {
		there.addresses = append(there.addresses, g.Addr().String())
	}
	playValid(t, there) // so that all that is made once is made
	d.askRed()
	before := settle(t, gws, len(everybody.sockets), nil)

	everybody.talk()
	asking, stopAsking := context.WithCancel(t.Context())
	var asker sync.WaitGroup
	asker.Go(func() { d.askForEver(asking) })
	start := time.Now()
	played := playMutated(t, there, *sessionsSeed, *sessionsN, *sessionsFor)
	took := time.Since(start)
	stopAsking()
	asker.Wait()
	everybody.wantAllHeard(t)
	if s := log.String(); s != "" {
		t.Errorf("something panicked:\n%s", s)
	}
	after := settle(t, gws, len(everybody.sockets), before)
	for _, g := range gws {
		g.wantSubscriptions(map[string][]string{"/": {neighbourhood}})
	}
	t.Logf("%d sessions from seed %d in %v, while neighbours said %d things to each other; on the heap were %d KiB before and %d KiB after",
		played, *sessionsSeed, took.Round(time.Millisecond), everybody.total(), before.heap>>10, after.heap>>10)
}

// playValid plays every valid script several times, at the same time.
func playValid(t *testing.T, there place) {
	t.Helper()
	var players sync.WaitGroup
	for _, name := range slices.Repeat(scriptNames, 3) {
		players.Go(func() {
			if err := play(there, session{name: name, script: validScripts[name]}); err != nil {
				t.Errorf("the valid script %q: %v\n%s", name, err, validScripts[name])
			}
		})
	}
	if players.Wait(); t.Failed() {
		t.FailNow()
	}
}

// playMutated plays up to n sessions for the time, and returns how many those were.
func playMutated(t *testing.T, there place, seed, n uint64, limit time.Duration) int64 {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("these were sessions from seed %d on; to play one again, which may need the others beside it:\n"+
				"go test -race -run '^%s$' ./services/gateway/gatewayd -sessions.seed SEED -sessions.n 1", seed, t.Name())
		}
	})
	// If a gateway panics where nobody recovers, this process ends; the file then has the seeds of those to blame.
	name := filepath.Join(os.TempDir(), fmt.Sprintf("natter-sessions-%d", os.Getpid()))
	journal, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "mutated sessions from seed %d on; if this process dies, %s has the seeds of those under way\n", seed, name)
	defer os.Remove(name) //nolint:errcheck // it is a temporary file
	defer journal.Close() //nolint:errcheck // nobody reads it
	var next atomic.Uint64
	var played atomic.Int64
	var players sync.WaitGroup
	end := time.Now().Add(limit)
	for slot := range int64(atATime) {
		players.Go(func() {
			for !t.Failed() && time.Now().Before(end) {
				i := next.Add(1) - 1
				if i >= n {
					return
				}
				s := newSession(seed + i)
				if _, err := journal.WriteAt(fmt.Appendf(nil, "%20d\n", s.seed), slot*21); err != nil {
					t.Error(err)
				}
				if err := play(there, s); err != nil {
					t.Errorf("the session of seed %d, which is %q with %q: %v\n%s", s.seed, s.name, s.mutations, err, s.script)
				}
				played.Add(1)
			}
		})
	}
	players.Wait()
	return played.Load()
}

// askForEver asks again and again.
func (d *deployment) askForEver(ctx context.Context) {
	for ctx.Err() == nil {
		d.askRed()
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// askRed asks those in the room of the scripts, who may well not be there, or not answer.
func (d *deployment) askRed() {
	msg := d.message(contract.Ask, "/", []string{"red"}, `["question"]`, contract.HeaderTimeout, "100ms")
	_, _ = d.nc.RequestMsg(msg, 200*time.Millisecond)
}
