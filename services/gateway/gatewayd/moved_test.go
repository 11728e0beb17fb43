package gatewayd_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestGatewayThatStartsAgainKnowsWhichSocketsWentOnElsewhere has a lease so long that nothing that happens in its course does.
func TestGatewayThatStartsAgainKnowsWhichSocketsWentOnElsewhere(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	named := func(id string) func(*gatewayd.Config) {
		return func(c *gatewayd.Config) {
			c.GatewayID, c.Lease = id, time.Minute
		}
	}
	g1, g2 := d.gateway(named("g1")), d.gateway(named("g2"))
	g2.awaitPeers(2)
	s, pid := g1.connectKept("/", "")
	s.join("red")
	d.say([]string{"red"}, 0, 1)
	last := s.wantSaid("0")
	g1.stop()
	again := g2.back("/", pid, last)
	if again.kept() != pid || again.id != s.id {
		t.Fatalf("went on as %s, was %s", again.id, s.id)
	}
	launched := d.launch(named("g1"))
	launched.awaitReady()
	answers := d.listen("answers.*")
	request := func(target, reply string, header ...string) {
		t.Helper()
		var rooms []string
		if target != "" {
			rooms = []string{target}
		}
		msg := d.message(contract.List, "/", rooms, "", header...)
		msg.Reply = "answers." + reply
		if err := d.nc.PublishMsg(msg); err != nil {
			t.Fatal(err)
		}
	}
	request(s.id, "socket")
	request("", "all", contract.HeaderCount, "1") // both gateways answer, after the question before
	var about []*nats.Msg
	for all := 0; all < 2; {
		switch m := recv(t, "an answer", answers); m.Subject {
		case "answers.all":
			all++
		default:
			about = append(about, m)
		}
	}
	if len(about) != 1 {
		t.Fatalf("%d gateways answered for the socket, want 1", len(about))
	}
	var infos []contract.SocketInfo
	if err := json.Unmarshal(about[0].Data, &infos); err != nil || len(infos) != 1 || infos[0].ID != s.id {
		t.Fatalf("of the socket that went on: %s, %v", about[0].Data, err)
	}
	// It answers for ids of its own that nobody has.
	request("g1.00000000000000000000", "nobody")
	if m := recv(t, "the answer for nobody", answers); string(m.Data) != "[]" || m.Header.Get(contract.HeaderGateway) != "g1" {
		t.Fatalf("for nobody %s answered %s", m.Header.Get(contract.HeaderGateway), m.Data)
	}
}
