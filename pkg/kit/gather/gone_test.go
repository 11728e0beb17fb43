package gather

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
)

// deadline is far beyond what it takes to find out that a gateway is gone.
const deadline = 30 * time.Second

func probe(gateway string) (string, error) { return contract.Subjects{}.ListNobody("/", gateway) }

// there makes a gateway be there for who asks whether it is; heard has each time.
func there(t *testing.T, nc *nats.Conn, id string) (heard chan struct{}) {
	t.Helper()
	heard = make(chan struct{}, 1000)
	subject, err := probe(id)
	if err == nil {
		_, err = nc.Subscribe(subject, func(m *nats.Msg) {
			heard <- struct{}{}
			if err := m.Respond([]byte("[]")); err != nil {
				t.Error(err)
			}
		})
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return heard
}

func (g *Gatherer) try(t *testing.T, timeout time.Duration) (heard map[string]int, took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	heard = make(map[string]int)
	start := time.Now()
	err = g.All(ctx, nats.NewMsg("natter.list._.all"), probe, func(m *nats.Msg) error {
		heard[string(m.Data)]++
		return nil
	})
	return heard, time.Since(start), err
}

// Two of four gateways hold their leases and are gone.
func TestGoneGatewaysAreNotWaitedFor(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	gatewayWith(t, nc, "a", []string{"b", "c", "d"}, 4, "a1", "a2")
	gatewayWith(t, nc, "b", []string{"a", "c", "d"}, 4, "b1")
	g := New(nc)
	heard, first, err := g.try(t, deadline)
	if err != nil || len(heard) != 3 {
		t.Fatalf("heard %v, %v; want all that is there", heard, err)
	}
	if first < gone || first > deadline/2 {
		t.Errorf("it took %s; want a little more than %s", first, gone)
	}
	// What is known is not found out anew, which takes that long at least.
	heard, second, err := g.try(t, deadline)
	if err != nil || len(heard) != 3 || second >= gone {
		t.Errorf("then heard %v, %v, after %s; the first time took %s", heard, err, second, first)
	}
}

func TestASlowGatewayIsWaitedFor(t *testing.T) {
	srv := natstest.Run(t)
	nc := srv.Connect(t)
	gatewayWith(t, nc, "a", []string{"slow"}, 2, "a1")
	asked := there(t, nc, "slow")
	// It answers once it was asked twice whether it is there: after more than it takes to be gone.
	if _, err := nc.Subscribe("natter.list._.all", func(m *nats.Msg) {
		<-asked
		<-asked
		reply := nats.NewMsg(m.Reply)
		reply.Header.Set(contract.HeaderGateway, "slow")
		reply.Header.Set(contract.HeaderGateways, "2")
		reply.Data = []byte("late")
		if err := m.RespondMsg(reply); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	heard, took, err := New(nc).try(t, deadline)
	if err != nil || heard["late"] != 1 || took < gone {
		t.Errorf("heard %v, %v after %s; want the slow gateway's answer", heard, err, took)
	}
}

// One that lives and does not answer is missed, by name.
func TestASilentGatewayIsMissed(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	gatewayWith(t, nc, "a", []string{"gone", "silent"}, 3, "a1")
	there(t, nc, "silent")
	const want = "1 of 3 gateways answered, not silent"
	heard, _, err := New(nc).try(t, 2*gone)
	if err != nil && !strings.Contains(err.Error(), want) { // a busy machine takes longer to find out which of them is gone
		heard, _, err = New(nc).try(t, deadline)
	}
	if !errors.Is(err, ErrIncomplete) || heard["a1"] != 1 || !strings.Contains(err.Error(), want) {
		t.Errorf("heard %v, %v", heard, err)
	}
}

// Who watches everything hides who is gone: then all are waited for, as before.
func TestAWatcherHidesWhoIsGone(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	gatewayWith(t, nc, "a", []string{"gone"}, 2, "a1")
	if _, err := nc.Subscribe("natter.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	heard, _, err := New(nc).try(t, 2*gone)
	if !errors.Is(err, ErrIncomplete) || heard["a1"] != 1 {
		t.Errorf("heard %v, %v", heard, err)
	}
}

func TestAbsence(t *testing.T) {
	var a absences
	now := time.Now()
	after := func(d time.Duration) time.Time { return now.Add(d) }
	for _, step := range []struct {
		at, want time.Duration
	}{{0, 0}, {time.Second, time.Second}, {2 * time.Second, 2 * time.Second}, {3*time.Second + memory, 0}, {4*time.Second + memory, time.Second}} {
		if got := a.note("g", after(step.at)); got != step.want {
			t.Errorf("after %s it was away for %s, want %s", step.at, got, step.want)
		}
	}
	if got := a.among([]string{"f", "g"}); len(got) != 1 || got[0] != "g" {
		t.Errorf("away are %v", got)
	}
	a.forget("g")
	if got := a.note("g", after(5*time.Second+memory)); got != 0 {
		t.Errorf("a gateway that was there has been away for %s", got)
	}
}
