package gatewayd_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// BenchmarkAfterASilence is the time from a publish to the client of a room in which somebody speaks now and then: alone on the
// stream, and with a neighbour room in which somebody has spoken meanwhile, so that the gateway asks the stream what it was. The
// medians are of one run, in which the two take turns.
func BenchmarkAfterASilence(b *testing.B) {
	b.Run("one server", func(b *testing.B) { afterASilence(b, deploy(b)) })
	b.Run("three replicas", func(b *testing.B) {
		nodes := natstest.Cluster(b, 3)
		d := &deployment{t: b, nats: nodes[0], nc: nodes.Connect(b)}
		var err error
		if d.js, err = jetstream.New(d.nc); err != nil {
			b.Fatal(err)
		}
		afterASilence(b, d, func(c *gatewayd.Config) { c.NATS.URL, c.Replicas = nodes.URLs(), 3 })
	})
}

func afterASilence(b *testing.B, d *deployment, change ...func(*gatewayd.Config)) {
	s := d.gateway(change...).connect()
	s.join("red")
	msg := d.message(contract.Emit, "/", []string{"red"}, `["x"]`)
	var took [2][]time.Duration // alone, with a neighbour
	for b.Loop() {
		for i := range took {
			time.Sleep(apart)
			if i == 1 {
				d.emit("/", []string{"green"}, `["x"]`)
			}
			begin := time.Now()
			if err := d.nc.PublishMsg(msg); err != nil {
				b.Fatal(err)
			}
			recv(b, "the event", s.events)
			took[i] = append(took[i], time.Since(begin))
		}
	}
	alone, asked := median(took[0]), median(took[1])
	b.ReportMetric(float64(alone.Microseconds()), "alone-µs")
	b.ReportMetric(float64(asked.Microseconds()), "asked-µs")
	b.ReportMetric(float64(asked)/float64(alone), "ratio")
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
