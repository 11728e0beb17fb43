package gatewayd_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// apart is how far apart two messages are, between which a route between nats-servers may have been broken.
const apart = 300 * time.Millisecond

// elsewhere lets others, whom no gateway of the test knows, speak for as long as a route may be broken.
func (d *deployment) elsewhere() {
	d.t.Helper()
	for end := time.Now().Add(apart); time.Now().Before(end); {
		d.emit("/", []string{"elsewhere"}, `["x"]`)
	}
}

const silences = "natter_gateway_doubts_total"

// What is lost is of one room, the next message that comes through of another: it must not pass what was lost, neither at the
// client nor in the offset that the client says when it comes back.
func TestWhatWasLostInASilenceComesBeforeWhatEndsIt(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, games)
	fences := d.listen(contract.Subjects{}.Fence())
	for range 5 { // gateways look after patterns with each sweep, which begins with a fence
		recv(t, "a fence", fences)
	}
	for name, c := range map[string]struct {
		namespace string
		to        func(*socket) []string
	}{
		"room":    {"/", func(*socket) []string { return []string{"red"} }},
		"many":    {"/", func(*socket) []string { return []string{"red", "green"} }},
		"all":     {"/", func(*socket) []string { return nil }},
		"socket":  {"/", func(s *socket) []string { return []string{s.id} }},
		"pattern": {"/game-*", func(*socket) []string { return []string{"red"} }},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := strings.Replace(c.namespace, "*", name, 1)
			s, pid := gws[0].connectKept(namespace, "")
			s.join("red", "blue")
			to := c.to(s)
			say := func(to []string, i int) { d.emit(c.namespace, to, fmt.Sprintf(`["n",%d]`, i)) }
			say(to, 0)
			s.wantSaid("0")
			d.silently(func() { say(to, 1); say(to, 2) })
			d.elsewhere()
			say([]string{"blue"}, 3)
			last := s.wantSaid("1") // and here the gateway is killed
			s.close()
			again := gws[1].back(namespace, pid, last)
			if again.kept() != pid {
				t.Fatal("started afresh")
			}
			again.wantSaid("2", "3")
		})
	}
	if gws[0].metric(silences, "silence") == 0 {
		t.Error("no doubt is counted")
	}
}

// An order that was lost takes effect before what was said after it.
func TestAnOrderThatWasLostInASilenceComesFirst(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, _ := g.connectKept("/", "")
	s.join("red")
	d.say([]string{"red"}, 0, 1)
	s.wantSaid("0")
	d.silently(func() {
		d.do("/", []string{s.id}, `["join","blue"]`)
		d.say([]string{"blue"}, 1, 2)
	})
	d.elsewhere()
	d.say([]string{"red"}, 2, 3)
	s.wantSaid(countUp(1, 3)...)
}

// An ack, and an answer to a service, come after what was lost, though nothing is said that would tell of it.
func TestWhatWasLostInASilenceComesBeforeAnAckThatNamesIt(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	var after atomic.Uint64
	answered, err := d.nc.Subscribe("natter.on._.x.>", func(m *nats.Msg) {
		reply := nats.NewMsg(m.Reply)
		reply.Header.Set(contract.HeaderAfter, strconv.FormatUint(after.Load(), 10))
		reply.Data = []byte(`["x"]`)
		_ = m.RespondMsg(reply)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	s, _ := g.connectKept("/", "")
	s.join("red")
	for i := range 3 { // whatever the sweeps find meanwhile
		d.say([]string{"red"}, 2*i, 2*i+1)
		s.wantSaid(fmt.Sprint(2 * i))
		d.silently(func() { after.Store(d.emit("/", []string{"red"}, fmt.Sprintf(`["n",%d]`, 2*i+1))) })
		d.elsewhere()
		if got := s.request(`"x"`); got != `["x"]` {
			t.Fatalf("the ack is %s", got)
		}
		if len(s.events) == 0 {
			t.Error("the ack came before what was said before it")
		}
		s.wantSaid(fmt.Sprint(2*i + 1))
	}
	if err := answered.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		d.silently(func() { after.Store(d.do("/", []string{s.id}, fmt.Sprintf(`["data",%d]`, i))) })
		d.elsewhere()
		if got := d.data("/", after.Load())[s.id]; got != strconv.Itoa(i) {
			t.Errorf("the data are %q, want %d, which was set before", got, i)
		}
	}
}

// What is lost within a moment shows with the next message to one of the rooms; what was lost of others comes in its place.
func TestAGapTellsOfWhatOtherRoomsLost(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, _ := g.connectKept("/", "")
	s.join("red", "blue")
	d.say([]string{"red"}, 0, 1)
	s.wantSaid("0")
	d.silently(func() {
		d.say([]string{"blue"}, 1, 2)
		d.say([]string{"red"}, 2, 3)
		d.say([]string{"blue"}, 3, 4)
	})
	d.say([]string{"red"}, 4, 5)
	s.wantSaid(countUp(1, 5)...)
}

// A message that follows on the one before it in the stream costs no question, however long that is ago.
func TestNothingIsAskedIfNobodyElseSpoke(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, _ := g.connectKept("/", "")
	s.join("red")
	d.say([]string{"red"}, 0, 1)
	s.wantSaid("0")
	before := g.metric(silences, "silence")
	for i := range 3 {
		for end := time.Now().Add(apart); time.Now().Before(end); time.Sleep(time.Millisecond) { // it is the time that matters
		}
		d.say([]string{"red"}, 1+i, 2+i)
		s.wantSaid(fmt.Sprint(1 + i))
	}
	if n := g.metric(silences, "silence") - before; n != 0 {
		t.Errorf("asked %v times", n)
	}
}

// While the stream cannot be read, delivery waits, and goes on in order.
func TestDeliveryWaitsWhileTheStreamCannotBeRead(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, _ := g.connectKept("/", "")
	s.join("red", "blue")
	d.say([]string{"red"}, 0, 1)
	s.wantSaid("0")
	d.silently(func() { d.say([]string{"red"}, 1, 2) })
	d.elsewhere()
	before := g.metric(silences, "silence")
	d.allowDirect(false)
	d.say([]string{"blue"}, 2, 3)
	wait(t, "the question", func() bool { return g.metric(silences, "silence") > before })
	d.say([]string{"blue"}, 3, 4)
	select {
	case e := <-s.events:
		t.Fatalf("heard %v before what was lost", e)
	default:
	}
	d.allowDirect(true)
	s.wantSaid(countUp(1, 4)...)
}

// An order to join many rooms holds up what is said to others for as long as one fence takes, not one for each room.
func TestAnOrderToJoinManyRoomsCostsOneFence(t *testing.T) {
	t.Parallel()
	const n = 400
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxRooms = n })
	s, _ := g.connectKept("/", "")
	fences := d.listen(contract.Subjects{}.Fence())
	rooms := make([]string, n)
	for i := range rooms {
		rooms[i] = fmt.Sprintf(`"room %d"`, i)
	}
	begin := time.Now()
	d.do("/", []string{s.id}, `["join",`+strings.Join(rooms, ",")+`]`)
	d.say([]string{fmt.Sprintf("room %d", n-1)}, 0, 1)
	s.wantSaid("0")
	if most := 5 + 2*int(time.Since(begin)/time.Second); len(fences) > most {
		t.Errorf("%d fences, want at most %d", len(fences), most)
	}
}
