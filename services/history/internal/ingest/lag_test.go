package ingest

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestPostsThatAreNotCopiedAreTold(t *testing.T) {
	var log bytes.Buffer
	metrics := NewMetrics(prometheus.NewRegistry())
	in := &Ingester{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: metrics}}
	var c copying
	for i, look := range []struct {
		lag, last uint64
		want      string // in the log
	}{
		{0, 7, ""},
		{9, 7, ""}, // they have just come
		{9, 8, ""}, // it goes on
		{8, 8, "level=WARN"},
		{8, 8, ""}, // said once
		{1, 9, ""},
		{0, 10, "copied into their stream again"},
		{2, 10, ""},
		{2, 10, "waiting=2"},
	} {
		log.Reset()
		in.copied(&c, &jetstream.StreamInfo{State: jetstream.StreamState{LastSeq: look.last}, Sources: []*jetstream.StreamSourceInfo{{Lag: look.lag}}})
		if got := log.String(); (got == "") != (look.want == "") || !strings.Contains(got, look.want) {
			t.Errorf("look %d: %q, want %q", i, got, look.want)
		}
		var m dto.Metric
		if err := metrics.copyLag.Write(&m); err != nil || m.GetGauge().GetValue() != float64(look.lag) || c.behind != look.lag {
			t.Errorf("look %d: %v, %v", i, &m, err)
		}
	}
}
