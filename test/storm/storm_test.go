package storm

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// The defaults are those of the short form; `make storm` has the long one.
var (
	clients  = flag.Int("storm.clients", 300, "clients of the gateway that is killed")
	shared   = flag.Int("storm.rooms", 50, "rooms that clients share; each is in two")
	gateways = flag.Int("storm.gateways", 3, "gateways, with the one that is killed")
	rate     = flag.Int("storm.rate", 40, "messages a second, all rooms together")
	calm     = flag.Duration("storm.calm", 2*time.Second, "how long to measure before and after")
	profile  = flag.String("storm.profile", "", "folder for CPU profiles")
)

// storm is what happens.
type storm struct {
	t        *testing.T
	nats     *process
	gateways []*process // the first is killed
	nc       *nats.Conn
	clients  []*client
	failures atomic.Int64 // attempts to connect, and connections, that ended
	took     latencies
}

func (s *storm) survivors() (addresses []string) {
	for _, g := range s.gateways[1:] {
		addresses = append(addresses, g.address)
	}
	return addresses
}

// TestEveryClientOfAKilledGatewayComesBack is the storm: while messages are being said all the time, a gateway is killed
// with -9, and its clients recover at the survivors.
func TestEveryClientOfAKilledGatewayComesBack(t *testing.T) {
	s := &storm{t: t, nats: launch(t, "nats", t.TempDir())}
	for range *gateways {
		args := []string{"--listen=127.0.0.1:0", "--health-listen=", "--nats-url=" + s.nats.address, "--no-serve-client"}
		s.gateways = append(s.gateways, launch(t, "gateway", args...))
	}
	var err error
	if s.nc, err = nats.Connect(s.nats.address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	s.admit()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	tap := listen(t, s.nc)

	start := time.Now()
	s.enter(ctx, &running)
	connected := time.Since(start)
	atConnect := tap.take()

	hush := s.speak()
	s.until("everybody to have heard something", func(c *client) bool { return c.hasOffset() })
	s.took.begin("before")
	before := s.cpu()
	s.pause(*calm)
	idle := s.cpu() - before
	tap.take()

	s.took.begin("during")
	killed, before := time.Now(), s.cpu()
	s.gateways[0].kill()
	s.until("everybody to be back", func(c *client) bool { return c.isBack(killed) })
	all := time.Since(killed)
	busy := s.cpu() - before
	s.took.begin("after")
	s.pause(*calm)
	heard := tap.take()
	last := hush()
	s.until("everybody to have heard everything", func(c *client) bool { return c.hasAll(last) })

	s.report(connected, all, idle, busy, atConnect, heard)
	s.judge(heard)
}

// admit answers for the auth service: a token is its user's id.
func (s *storm) admit() {
	subject, err := contract.Subjects{}.Use("/", "auth")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.nc.Subscribe(subject, func(msg *nats.Msg) {
		var e struct {
			Handshake struct{ Auth struct{ Token string } }
		}
		if json.Unmarshal(msg.Data, &e) == nil {
			_ = msg.Respond(fmt.Appendf(nil, `{"ok":true,"user":%q}`, e.Handshake.Auth.Token))
		}
	}); err != nil {
		s.t.Fatal(err)
	}
}

// enter connects all clients to the gateway that will be killed.
func (s *storm) enter(ctx context.Context, running *sync.WaitGroup) {
	places := make(chan struct{}, 100) // that many connect at a time
	var in sync.WaitGroup
	for i := range *clients {
		user := fmt.Sprintf("u%d", i)
		c := &client{storm: s, user: user, heard: make(map[string]int)}
		c.rooms = []string{contract.UserRoom(user), fmt.Sprintf("shared %d", i%*shared), fmt.Sprintf("shared %d", (i+1 + i / *shared)%*shared)}
		s.clients = append(s.clients, c)
		places <- struct{}{}
		in.Add(1)
		entered := sync.OnceFunc(func() { in.Done(); <-places })
		running.Go(func() { c.run(ctx, s.gateways[0].address, entered) })
	}
	in.Wait()
}

// speak has numbers said in all rooms until hush, which returns the last ones: nine of ten messages to a shared room, the
// others to a user.
func (s *storm) speak() (hush func() map[string]int) {
	sp := speech{URL: s.nats.address}
	add := func(rooms []string, rate float64) {
		if len(rooms) > 0 {
			sp.Rooms, sp.Every = append(sp.Rooms, rooms), append(sp.Every, time.Duration(float64(time.Second)/rate))
		}
	}
	for n := range speakers {
		var rooms []string
		for i := n; i < *shared; i += speakers {
			rooms = append(rooms, fmt.Sprintf("shared %d", i))
		}
		add(rooms, float64(*rate)*0.9/speakers)
	}
	var users []string
	for _, i := range rand.Perm(*clients) {
		users = append(users, contract.UserRoom(fmt.Sprintf("u%d", i)))
	}
	add(users, float64(*rate)*0.1)
	what, err := json.Marshal(sp)
	if err != nil {
		s.t.Fatal(err)
	}
	process := launch(s.t, "speakers", string(what))
	last := make(chan map[string]int, 1)
	go func() { last <- s.took.hear(process.out) }()
	return func() map[string]int {
		_ = process.cmd.Process.Signal(syscall.SIGTERM) // it has ended by itself if this fails
		return <-last
	}
}

// until waits until a condition holds for all clients.
func (s *storm) until(what string, holds func(*client) bool) {
	s.t.Helper()
	waiting := slices.Clone(s.clients)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		waiting = slices.DeleteFunc(waiting, holds)
		if len(waiting) == 0 {
			return
		}
		if time.Now().After(end) {
			c := waiting[0]
			c.mu.Lock()
			defer c.mu.Unlock()
			s.t.Fatalf("waited in vain for %s: %d are missing, such as %s, which heard %v; faults %q", what, len(waiting), c.user, c.heard, c.faults)
		}
	}
}

// pause lets time go by that is measured.
func (s *storm) pause(d time.Duration) { <-time.After(d) }

// cpu is what the survivors have used.
func (s *storm) cpu() (sum time.Duration) {
	for _, g := range s.gateways[1:] {
		sum += g.cpu()
	}
	return sum
}

// report prints what was measured.
func (s *storm) report(connected, all, idle, busy time.Duration, atConnect, heard tally) {
	var took, away []time.Duration
	for _, c := range s.clients {
		c.mu.Lock()
		took = append(took, c.back.Sub(c.asked))
		away = append(away, c.back.Sub(c.gone))
		c.mu.Unlock()
	}
	out := func(format string, args ...any) { fmt.Fprintf(s.t.Output(), format+"\n", args...) }
	out("%d clients of a killed gateway, %d survivors, %d messages a second in %d shared rooms and %d of single users", *clients, *gateways-1, *rate, *shared, *clients)
	out("all connected after           %v, %d at a time", connected.Round(time.Millisecond), 100)
	out("  writes of a session         %d", atConnect.requests[sessionWrites])
	out("all back after                %v", all.Round(time.Millisecond))
	out("  away                        %s", quantiles(away))
	out("  from connecting to answer   %s", quantiles(took))
	out("  attempts that failed        %d", s.failures.Load()-int64(*clients))
	out("survivors' processor time     %v idle for %v, %v meanwhile", idle, *calm, busy)
	for _, what := range slices.Sorted(maps.Keys(heard.requests)) {
		out("%-32s%d", what, heard.requests[what])
	}
	out("messages of the stream read   %d, the same one %d times at most", heard.read, heard.most)
	for _, phase := range []string{"before", "during", "after"} {
		out("publish to PubAck, %-10s %s", phase, s.took.quantiles(phase))
	}
}

// judge fails the test unless everybody is where it was and heard all once and in order, for reads that do not depend
// on how many they are.
func (s *storm) judge(heard tally) {
	afresh, faults := 0, []string(nil)
	for _, c := range s.clients {
		c.mu.Lock()
		afresh += c.afresh
		faults = append(faults, c.faults...)
		c.mu.Unlock()
	}
	if afresh > 0 {
		s.t.Errorf("%d of %d clients started afresh", afresh, *clients)
	}
	if len(faults) > 0 {
		s.t.Errorf("%d faults, such as %q", len(faults), faults[:min(len(faults), 5)])
	}
	if s.took.failed > 0 {
		s.t.Errorf("%d publishes failed", s.took.failed)
	}
	// What was said while they came back may be read a second time; what one reads for all is read by each gateway.
	survivors := *gateways - 1
	if heard.most > 2*survivors {
		s.t.Errorf("the same message was read %d times by %d gateways", heard.most, survivors)
	}
	if heard.read == 0 {
		s.t.Error("nothing was read back: the tap is deaf")
	}
	// A survivor that looks through the sessions is told, too, of those that are written meanwhile: each once.
	for what, most := range map[string]int{sessionReads: *clients, sessionWrites: *clients, beatReads: *clients / 10, sessionWalks: survivors * 2 * *clients} {
		if most += *clients / 10; heard.requests[what] > most {
			s.t.Errorf("%d %s for %d clients", heard.requests[what], what, *clients)
		}
	}
}
