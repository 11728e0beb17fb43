package gatewayd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// silence has gateways hear nothing of leases any more, while everything else works.
func (d *deployment) silence() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	leases, err := d.js.Stream(ctx, "KV_"+contract.Subjects{}.Names().Gateways)
	if err != nil {
		d.t.Fatal(err)
	}
	watches := leases.ListConsumers(ctx)
	for watch := range watches.Info() {
		if _, err := leases.PauseConsumer(ctx, watch.Name, time.Now().Add(time.Hour)); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := watches.Err(); err != nil {
		d.t.Fatal(err)
	}
}

// Not hearing of a gateway is no sign that it is gone: an answer that counts too few would be taken for complete.
func TestAGatewayOfWhichNothingIsHeardIsCounted(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, shortLease)
	d.silence()
	leases := d.listen("$KV." + contract.Subjects{}.Names().Gateways + ".*")
	for renewed := map[string]int{}; len(renewed) < 2 || renewed[gws[0].ID()] < 6 || renewed[gws[1].ID()] < 6; { // three for each lease
		msg := recv(t, "a lease to be renewed", leases)
		renewed[msg.Subject[len(msg.Subject)-len(gws[0].ID()):]]++
	}
	for _, m := range d.ask(d.message(contract.List, "/", nil, "")) {
		if n := m.Header.Get(contract.HeaderGateways); n != "2" {
			t.Errorf("%s counts %s gateways", m.Header.Get(contract.HeaderGateway), n)
		}
	}
	gws[1].stop()
	gws[0].awaitPeers(1)
}

// A gateway that is starting cannot say whose answers are to be waited for, and leaves it to the others.
func TestAGatewayThatIsStartingDoesNotAnswerForAll(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	// A single server cannot have what it wants.
	g := d.launch(func(c *gatewayd.Config) { c.GatewayID, c.Replicas = "starting", 3 })
	malformed := func() (*nats.Msg, error) { return d.nc.Request(d.subject(contract.Ask, "/"), []byte("{"), patience) }
	wait(t, "the gateway to listen", func() bool { _, err := malformed(); return !errors.Is(err, nats.ErrNoResponders) })
	answers := d.listen("answers")
	if err := d.nc.PublishRequest(d.subject(contract.List, "/"), "answers", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := malformed(); err != nil { // it reads one question after the other
		t.Fatal(err)
	}
	if len(answers) > 0 {
		t.Errorf("it answered %v", (<-answers).Header)
	}
	select {
	case <-g.done:
		t.Error("it does not run any more")
	default:
	}
}
