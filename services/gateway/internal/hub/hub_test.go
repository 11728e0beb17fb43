package hub

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type member struct {
	id, namespace string

	mu    sync.Mutex
	heard []int
}

func (m *member) ID() string        { return m.id }
func (m *member) Namespace() string { return m.namespace }

func (m *member) hear(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = append(m.heard, n)
}

func newHub(t testing.TB) *Hub[*member] {
	h := New[*member](3, 16)
	t.Cleanup(h.Close)
	return h
}

func ids(members []*member) []string {
	var ids []string
	for _, m := range members {
		ids = append(ids, m.id)
	}
	slices.Sort(ids)
	return ids
}

func TestSelect(t *testing.T) {
	h := newHub(t)
	for id, rooms := range map[string][]string{"a": {"red"}, "b": {"red", "blue"}, "c": {"blue"}, "d": nil} {
		m := &member{id: id, namespace: "/"}
		h.Add(m)
		for _, room := range rooms {
			if !h.Join(m, room) || h.Join(m, room) {
				t.Fatalf("%s joining %s twice: the first must count, the second not", id, room)
			}
		}
	}
	other := &member{id: "x", namespace: "/other"}
	h.Add(other)
	h.Join(other, "red")
	for _, c := range []struct {
		rooms, except, want []string
	}{
		{nil, nil, []string{"a", "b", "c", "d"}},
		{[]string{"red"}, nil, []string{"a", "b"}},
		{[]string{"red", "blue"}, nil, []string{"a", "b", "c"}},
		{[]string{"red", "blue", "red"}, nil, []string{"a", "b", "c"}},
		{[]string{"d"}, nil, []string{"d"}},
		{[]string{"b", "red"}, nil, []string{"a", "b"}},
		{[]string{"red", "b"}, nil, []string{"a", "b"}},
		{[]string{"red"}, []string{"blue"}, []string{"a"}},
		{nil, []string{"red", "d"}, []string{"c"}},
		{[]string{"green"}, nil, nil},
	} {
		if got := ids(h.Select(Selection{Namespace: "/", Rooms: c.rooms, Except: c.except})); !slices.Equal(got, c.want) {
			t.Errorf("rooms %v except %v: %v; want %v", c.rooms, c.except, got, c.want)
		}
	}
}

func TestRemoveForgetsEverything(t *testing.T) {
	h := newHub(t)
	m := &member{id: "a", namespace: "/"}
	h.Add(m)
	h.Join(m, "red")
	h.Join(m, "blue")
	if !h.In(m, "red") || h.In(m, "green") || h.Len() != 1 {
		t.Fatal("membership is wrong before the removal")
	}
	if !h.Leave(m, "blue") || h.Leave(m, "blue") {
		t.Fatal("leaving a room counts once")
	}
	if rooms := h.Remove(m); !slices.Equal(rooms, []string{"red"}) {
		t.Fatalf("Remove: %v", rooms)
	}
	if h.Join(m, "red") || h.Remove(m) != nil || h.Rooms(m) != nil || h.Len() != 0 {
		t.Fatal("a removed member came back")
	}
	for _, s := range h.shards {
		if len(s.spaces) != 0 {
			t.Fatalf("left behind: %v", s.spaces)
		}
	}
}

func TestOrderPerSocketOverRooms(t *testing.T) {
	h := newHub(t)
	const sockets, rounds = 20, 500
	members := make([]*member, sockets)
	for i := range members {
		members[i] = &member{id: fmt.Sprint(i), namespace: "/"}
		h.Add(members[i])
		h.Join(members[i], "red")
		h.Join(members[i], "blue")
	}
	rooms := [][]string{{"red"}, {"blue"}, nil, {"red", "blue"}}
	for n := range rounds {
		h.Each(Selection{Namespace: "/", Rooms: rooms[n%len(rooms)]}, func(m *member) { m.hear(n) })
	}
	h.Barrier()
	for _, m := range members {
		if len(m.heard) != rounds || !slices.IsSorted(m.heard) {
			t.Fatalf("%s heard %d of %d, in order: %v", m.id, len(m.heard), rounds, slices.IsSorted(m.heard))
		}
	}
}

func TestDeliveryMayCallTheHub(t *testing.T) {
	h := newHub(t)
	m := &member{id: "a", namespace: "/"}
	h.Add(m)
	var left atomic.Bool
	h.Each(Selection{Namespace: "/"}, func(m *member) { h.Join(m, "red") })
	h.Each(Selection{Namespace: "/", Rooms: []string{"red"}}, func(m *member) { left.Store(h.Leave(m, "red")) })
	h.Barrier()
	if !left.Load() {
		t.Fatal("the second delivery did not see what the first did")
	}
}

func BenchmarkFanOut(b *testing.B) {
	h := newHub(b)
	for i := range 1000 {
		m := &member{id: fmt.Sprint(i), namespace: "/"}
		h.Add(m)
		h.Join(m, "red")
	}
	var n atomic.Int64
	sel := Selection{Namespace: "/", Rooms: []string{"red"}}
	deliver := func(*member) { n.Add(1) }
	b.ReportAllocs()
	for b.Loop() {
		h.Each(sel, deliver)
	}
	h.Barrier()
	b.ReportMetric(float64(n.Load())/float64(b.N), "deliveries/op")
}

func TestAMemberTakesThePlaceOfOneWithItsID(t *testing.T) {
	h := New[*member](2, 8)
	defer h.Close()
	first, second := &member{id: "a", namespace: "/"}, &member{id: "a", namespace: "/"}
	if old, rooms, ok := h.Replace(first, nil); old != nil || rooms != nil || !ok {
		t.Fatalf("took the place of %v in %q", old, rooms)
	}
	h.Join(first, "red")
	if old, rooms, ok := h.Replace(second, func(old *member) bool { return old != first }); old != first || rooms != nil || ok || !h.In(first, "red") {
		t.Fatalf("took the place of %v in %q, which has a better right", old, rooms)
	}
	if old, rooms, ok := h.Replace(second, func(old *member) bool { return old == first }); old != first || len(rooms) != 1 || rooms[0] != "red" || !ok {
		t.Fatalf("took the place of %v in %q", old, rooms)
	}
	for _, sel := range []Selection{{Namespace: "/"}, {Namespace: "/", Rooms: []string{"a"}}} {
		if got := h.Select(sel); len(got) != 1 || got[0] != second {
			t.Errorf("%+v means %v", sel, got)
		}
	}
	if h.Join(first, "blue") || h.Remove(first) != nil || h.Len() != 1 || len(h.Select(Selection{Namespace: "/", Rooms: []string{"red"}})) != 0 {
		t.Error("the first is still there")
	}
}
