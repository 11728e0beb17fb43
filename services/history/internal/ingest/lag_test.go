package ingest

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestPostsThatAreNotCopiedAreTold(t *testing.T) {
	var log bytes.Buffer
	metrics := NewMetrics(prometheus.NewRegistry())
	in := &Ingester{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: metrics}}
	late := false
	for i, look := range []struct {
		lag  time.Duration
		want string // in the log
	}{
		{0, ""},
		{time.Second, ""}, // it has just come
		{11 * time.Second, "level=WARN"},
		{20 * time.Second, ""}, // said once
		{time.Second, ""},
		{0, "copied into their stream again"},
		{time.Minute, "for=1m0s"},
	} {
		log.Reset()
		behind := uint64(look.lag / time.Second)
		late = in.copied(late, behind, look.lag)
		if got := log.String(); (got == "") != (look.want == "") || !strings.Contains(got, look.want) {
			t.Errorf("look %d: %q, want %q", i, got, look.want)
		}
		var m dto.Metric
		if err := metrics.copyLag.Write(&m); err != nil || m.GetGauge().GetValue() != float64(behind) {
			t.Errorf("look %d: %v, %v", i, &m, err)
		}
	}
}
