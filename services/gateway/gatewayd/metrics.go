package gatewayd

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/bridge"
	"github.com/natter-io/natter/services/gateway/internal/carry"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// metrics are what the gateway counts, for sessions and bridge.
type metrics struct {
	received, refused, malformed, delivered, skipped, dropped, carried, doubted *prometheus.CounterVec
	lateAcks, lateReplies, duplicates, repaired, missed, storedAgain            prometheus.Counter
	rooms, gateways, carriedOut, carriedIn, tunnels, copyLag, copyHold          prometheus.Gauge
}

var (
	_ session.Metrics = (*metrics)(nil)
	_ bridge.Metrics  = (*metrics)(nil)
	_ carry.Metrics   = (*metrics)(nil)
)

func newMetrics(registry prometheus.Registerer, connections func() float64, sockets func() float64) *metrics {
	f := promauto.With(registry)
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Namespace: "natter", Subsystem: "gateway", Name: name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "natter", Subsystem: "gateway", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "natter", Subsystem: "gateway", Name: name, Help: help}
	}
	f.NewGaugeFunc(gauge("connections", "Open Engine.IO connections."), connections)
	f.NewGaugeFunc(gauge("sockets", "Sockets in all namespaces."), sockets)
	return &metrics{
		received:    counters("events_received_total", "Events of clients, by what the namespace's rule does with them.", "namespace", "action"),
		refused:     counters("events_refused_total", "Events of clients that were refused.", "code"),
		malformed:   counters("connections_closed_total", "Connections closed since the client violated the protocol, or said too large a message.", "reason"),
		delivered:   counters("messages_total", "Messages from NATS that were handed to sockets.", "kind"),
		skipped:     counters("messages_skipped_total", "Messages from NATS that are outside the contract.", "kind"),
		dropped:     counters("dropped_total", "What had to be given up.", "reason"),
		missed:      counter("volatile_missed_total", "Times when a client could not take a volatile event, which it then missed."),
		carried:     counters("carried_total", "Requests of other gateways' sessions that were carried there, by how they ended.", "result"),
		lateAcks:    counter("late_acks_total", "Acks of clients for which nobody waited any more."),
		lateReplies: counter("late_replies_total", "Replies of services for which nobody waited any more."),
		doubted:     counters("doubts_total", "Times when stored messages might have gone unheard and were looked for.", "reason"),
		repaired:    counter("repaired_total", "Stored messages that were not heard live, and were read back and delivered."),
		storedAgain: counter("stores_repeated_total", "Messages of clients that were published again, since JetStream did not confirm them."),
		duplicates:  counter("duplicates_total", "Stored messages that were heard already."),
		rooms:       f.NewGauge(gauge("rooms_subscribed", "Rooms and namespaces subscribed to at NATS.")),
		gateways:    f.NewGauge(gauge("gateways", "Gateways alive, this one included.")),
		copyLag:     f.NewGauge(gauge("posts_lag_seconds", "For how long the oldest post that is not copied for history has waited, as of some seconds ago.")),
		copyHold:    f.NewGauge(gauge("posts_held", "1 while what clients post is held, since posts are not copied for history.")),
		carriedOut:  f.NewGauge(gauge("carried_out", "Requests, WebSockets and WebTransport streams of other gateways' sessions that are being carried there.")),
		carriedIn:   f.NewGauge(gauge("carried_in", "Requests, WebSockets and WebTransport streams of own sessions that other gateways carry here.")),
		tunnels:     f.NewGauge(gauge("tunnels", "Of carried_out, the WebSockets and WebTransport streams.")),
	}
}

func (m *metrics) Received(namespace, action string) {
	m.received.WithLabelValues(namespace, action).Inc()
}
func (m *metrics) Refused(code string)          { m.refused.WithLabelValues(code).Inc() }
func (m *metrics) Malformed(reason string)      { m.malformed.WithLabelValues(reason).Inc() }
func (m *metrics) LateAck()                     { m.lateAcks.Inc() }
func (m *metrics) Delivered(kind contract.Kind) { m.delivered.WithLabelValues(string(kind)).Inc() }
func (m *metrics) Skipped(kind contract.Kind)   { m.skipped.WithLabelValues(string(kind)).Inc() }
func (m *metrics) Doubted(reason string)        { m.doubted.WithLabelValues(reason).Inc() }

func (m *metrics) Repaired(n int) { m.repaired.Add(float64(n)) }

func (m *metrics) Duplicate()            { m.duplicates.Inc() }
func (m *metrics) StoredAgain()          { m.storedAgain.Inc() }
func (m *metrics) Dropped(reason string) { m.dropped.WithLabelValues(reason).Inc() }
func (m *metrics) LateReply()            { m.lateReplies.Inc() }
func (m *metrics) Missed()               { m.missed.Inc() }
func (m *metrics) Rooms(n int)           { m.rooms.Set(float64(n)) }
func (m *metrics) Gateways(n int)        { m.gateways.Set(float64(n)) }
func (m *metrics) Copies(lag time.Duration, held bool) {
	m.copyLag.Set(lag.Seconds())
	m.copyHold.Set(0)
	if held {
		m.copyHold.Set(1)
	}
}
func (m *metrics) Carried(result string) { m.carried.WithLabelValues(result).Inc() }
func (m *metrics) Tunnels(change int)    { m.tunnels.Add(float64(change)) }
func (m *metrics) Streams(out, in int) {
	m.carriedOut.Set(float64(out))
	m.carriedIn.Set(float64(in))
}
