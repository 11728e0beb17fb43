package ingest

import "github.com/prometheus/client_golang/prometheus"

// Metrics of an [Ingester].
type Metrics struct {
	stored, duplicates, skipped, aside, redacted, failures, back prometheus.Counter
	lag, copyLag                                                 prometheus.Gauge
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "natter", Subsystem: "history", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "natter", Subsystem: "history", Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	m := &Metrics{
		stored:     counter("stored_total", "Posts stored in the database."),
		duplicates: counter("duplicates_total", "Posts that were delivered again and were in the database already."),
		skipped:    counter("skipped_total", "Messages that can never be stored, since they are none of the contract."),
		aside:      counter("put_aside_total", "Posts that the database refuses for good, while it takes others; they stay in their stream."),
		redacted:   counter("redacted_on_arrival_total", "Posts stored as redacted, since their sender was deleted before they came."),
		failures:   counter("store_failures_total", "Batches that the database did not take; they are tried again."),
		back:       counter("went_back_total", "How often the main stream went back to what it was earlier, since nats-server lost power or a backup was put back."),
		lag:        gauge("lag_messages", "Posts that are not in the database yet, as of a few seconds ago, those included that JetStream has not copied into their stream."),
		copyLag:    gauge("copy_lag_messages", "Of these, the ones that JetStream has not copied into their stream."),
	}
	return m
}
