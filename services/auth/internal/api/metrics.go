package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/natter-io/natter/pkg/contract"
)

// metrics count what the endpoints did.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// Results of requests, next to the codes of refusals.
const (
	resultOK      = "ok"
	resultRefused = "refused"   // the middleware's no
	resultSilent  = "no_answer" // the middleware cannot tell
)

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "natter_auth_requests_total", Help: "Requests by endpoint and result: ok, refused, no_answer, or a refusal's code.",
		}, []string{"endpoint", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "natter_auth_request_seconds", Help: "Time from a request's arrival to its answer.",
			Buckets: []float64{.001, .005, .02, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"endpoint"}),
	}
	r.MustRegister(m.requests, m.seconds)
	return m
}

func (m *metrics) count(e endpoint, result string) {
	m.requests.WithLabelValues(e.name, result).Inc()
}

func (m *metrics) took(e endpoint, since time.Time) {
	m.seconds.WithLabelValues(e.name).Observe(time.Since(since).Seconds())
}

// resultOf an answer that is no error.
func resultOf(answer any) string {
	if a, ok := answer.(contract.Admission); ok && !a.OK {
		return resultRefused
	}
	return resultOK
}
