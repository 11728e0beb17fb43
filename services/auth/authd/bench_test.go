package authd

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/natstest"
)

// BenchmarkEnter is how fast one instance answers gateways, each request with a signature to verify and an
// account to look up.
func BenchmarkEnter(b *testing.B) {
	server := natstest.Run(b)
	var cfg Config
	if err := config.Load(Name, About, []string{"--health-listen=", "--nats-url=" + server.URL(), "--admin-password=" + adminPassword}, &cfg, config.Environ(nil)); err != nil {
		b.Fatal(err)
	}
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(b.Context()) }()
	b.Cleanup(func() { <-done })
	if err := s.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	nc := server.Connect(b)
	msg, err := nc.Request("natter.auth.login", []byte(`{"name":"admin","password":"`+adminPassword+`"}`), 10*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	var session response
	if err := json.Unmarshal(msg.Data, &session); err != nil || !session.OK {
		b.Fatalf("%s: %v", msg.Data, err)
	}
	entry, err := json.Marshal(contract.Entry{Namespace: "/", Handshake: contract.Handshake{Auth: json.RawMessage(`{"token":"` + session.Token + `"}`)}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := nc.Request("natter.use._.auth", entry, 10*time.Second); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
