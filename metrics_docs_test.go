package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/auth/authd"
	"github.com/natter-io/natter/services/gateway/gatewayd"
	"github.com/natter-io/natter/services/history/historyd"
)

var (
	// metricName is one in the table of docs/operations.md: `natter_gateway_sockets`, or `_sockets` for another of
	// the same service; its labels may follow in braces.
	metricName = regexp.MustCompile("`((?:natter)?_[a-z_0-9]+)(?:\\{([a-z_,]+)\\})?`")
	service    = regexp.MustCompile(`^natter_[a-z]+`)
	described  = regexp.MustCompile(`fqName: "([^"]*)".*variableLabels: \{([^}]*)\}`)
)

// The table of metrics in docs/operations.md has those that the services have, with their labels, and no others.
func TestDocumentedMetricsAreThoseThatAreServed(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(data), "\n## Metrics\n")
	if table, _, _ = strings.Cut(table, "\n## "); !found {
		t.Fatal("docs/operations.md has no table of metrics")
	}
	documented := map[string]string{}
	for _, row := range tableRow.FindAllString(table, -1) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		of := ""
		for _, m := range metricName.FindAllStringSubmatch(cell, -1) {
			name := m[1]
			if strings.HasPrefix(name, "_") {
				name = of + name
			}
			of = service.FindString(name)
			if _, twice := documented[name]; twice {
				t.Errorf("docs/operations.md has %s twice", name)
			}
			documented[name] = m[2]
		}
	}
	served := servedMetrics(t)
	if len(served) < 30 {
		t.Fatalf("only %d metrics are served: are they still read?", len(served))
	}
	for name, labels := range served {
		if got, ok := documented[name]; !ok {
			t.Errorf("docs/operations.md lacks %s{%s}", name, labels)
		} else if got != labels {
			t.Errorf("docs/operations.md has %s{%s}; it is served with {%s}", name, got, labels)
		}
	}
	for name := range documented {
		if _, ok := served[name]; !ok {
			t.Errorf("docs/operations.md has %s, which no service serves", name)
		}
	}
}

// servedMetrics are the metrics of all services, with their labels.
func servedMetrics(t *testing.T) map[string]string {
	t.Helper()
	url := natstest.Run(t).URL()
	log := slog.New(slog.DiscardHandler)
	gatewayConfig, err := defaults[gatewayd.Config](gatewayd.Name)
	if err != nil {
		t.Fatal(err)
	}
	gatewayConfig.NATS.URL, gatewayConfig.Listen, gatewayConfig.Health.Listen = url, "127.0.0.1:0", ""
	gateway, err := gatewayd.New(gatewayConfig, log)
	if err != nil {
		t.Fatal(err)
	}
	authConfig, err := defaults[authd.Config](authd.Name)
	if err != nil {
		t.Fatal(err)
	}
	authConfig.NATS.URL, authConfig.Health.Listen = url, ""
	auth, err := authd.New(authConfig, log)
	if err != nil {
		t.Fatal(err)
	}
	historyConfig, err := defaults[historyd.Config](historyd.Name)
	if err != nil {
		t.Fatal(err)
	}
	historyConfig.NATS.URL, historyConfig.Health.Listen = url, ""
	historyConfig.Database = filepath.Join(t.TempDir(), "history.db")
	history, err := historyd.New(historyConfig, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	served := map[string]string{}
	for _, s := range []interface {
		Run(context.Context) error
		Health() *health.Server
	}{gateway, auth, history} {
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		ready, giveUp := context.WithTimeout(ctx, time.Minute)
		defer giveUp()
		for !s.Health().Report(ready).Ready && ready.Err() == nil { // some register what they measure when they have NATS
			time.Sleep(10 * time.Millisecond)
		}
		describe(t, s.Health().Registry(), served)
	}
	return served
}

// describe notes the metrics of a registry, those too that have no value yet.
func describe(t *testing.T, registry *prometheus.Registry, served map[string]string) {
	t.Helper()
	descriptions := make(chan *prometheus.Desc)
	go func() { registry.Describe(descriptions); close(descriptions) }()
	for d := range descriptions {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Errorf("%s is written in another way than this test reads", d)
			continue
		}
		served[m[1]] = m[2]
	}
}
