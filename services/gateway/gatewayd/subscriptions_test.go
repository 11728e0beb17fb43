package gatewayd_test

import (
	"slices"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// fixed are the subscriptions that a gateway has, whoever is connected.
func (g *gateway) fixed() []string {
	var s contract.Subjects
	all := []string{
		s.EveryTarget(contract.Live, contract.TargetSocket, g.ID()),
		s.EveryTarget(contract.Volatile, contract.TargetSocket, g.ID()),
		s.CarryAny(g.ID()),
		s.AliveAny(),
	}
	for _, kind := range []contract.Kind{contract.Ask, contract.List} {
		for _, target := range []string{contract.TargetAll, contract.TargetRoom, contract.TargetMany, contract.TargetSocket} {
			all = append(all, s.EveryTarget(kind, target, g.ID()))
		}
	}
	return all
}

// subscriptions are those of the gateway under the contract's prefix, sorted, without the fixed ones. It
// fails the test if a fixed one is missing, or any could widen with a name.
func (g *gateway) subscriptions() []string {
	g.t.Helper()
	rest := []string{}
	fixed := g.fixed()
	for _, sub := range g.d.nats.SubscriptionDetails() {
		if sub.Client != gatewayd.Name+" "+g.ID() {
			continue
		}
		if strings.Contains(sub.Subject, ">") {
			g.t.Fatalf("the gateway subscribes to %s", sub.Subject)
		}
		if i := slices.Index(fixed, sub.Subject); i >= 0 {
			fixed = slices.Delete(fixed, i, i+1)
		} else if !strings.HasPrefix(sub.Subject, "_INBOX.") && !strings.HasPrefix(sub.Subject, "$SRV.") && !strings.HasPrefix(sub.Subject, "$JS.EVENT.") {
			rest = append(rest, sub.Subject)
		}
	}
	if len(fixed) > 0 {
		g.t.Fatalf("the gateway does not subscribe to %q", fixed)
	}
	slices.Sort(rest)
	return rest
}

// wantSubscriptions waits until the gateway subscribes to exactly two literal subjects for each room and two
// pairs for each namespace, given as namespace → rooms.
func (g *gateway) wantSubscriptions(rooms map[string][]string) {
	g.t.Helper()
	want := []string{}
	for ns, names := range rooms {
		for _, kind := range []contract.Kind{contract.Live, contract.Volatile} {
			all := g.d.subject(kind, ns)
			want = append(want, all, strings.TrimSuffix(all, contract.TargetAll)+contract.TargetMany)
			for _, name := range names {
				want = append(want, g.d.subject(kind, ns, name))
			}
		}
	}
	slices.Sort(want)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got := g.subscriptions()
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			g.t.Fatalf("the gateway subscribes to\n%q\nwant\n%q", got, want)
		}
	}
}
