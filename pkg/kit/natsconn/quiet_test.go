package natsconn

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/natstest"
)

// TestLogIsQuietWhileNATSIsAway has what a service does fail again and again while there is no NATS.
func TestLogIsQuietWhileNATSIsAway(t *testing.T) {
	server := natstest.Run(t)
	book, plain := newLog()
	var quiet Quiet
	log := quiet.Log(plain.With("service", "s")).WithGroup("g")
	busy := errors.New("busy")
	count := func(text string) int { return strings.Count(book.String(), text) }
	await := func(text string, times int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); count(text) < times; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q was not logged %d times:\n%s", text, times, book)
			}
		}
	}
	for range 2 { // before it is connected for the first time
		log.Warn("not yet", "error", nats.ErrDisconnected)
	}
	nc, err := Dial(t.Context(), Options{URL: server.URL()}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	quiet.Watch(nc)
	for round := 1; round <= 2; round++ {
		for range 2 {
			log.Error("connected", "error", busy)
		}
		server.Shutdown()
		await("lost the connection", round)
		for range 5 {
			log.Warn("lease", "error", fmt.Errorf("renewing: %w", nc.Publish("x", nil)))
			log.Error("database", "error", busy)
			log.Info("news")
		}
		server.Restart()
		await("connected to NATS again", round)
		log.Warn("back", "error", busy)
		for text, want := range map[string]int{
			`level=WARN msg="lost the connection`:         1,
			`level=INFO msg="connected to NATS again`:     1,
			"level=WARN msg=lease":                        0,
			"level=DEBUG msg=lease service=s g.error":     5,
			"level=ERROR msg=database":                    1,
			"level=DEBUG msg=database":                    4,
			"level=INFO msg=news":                         5,
			"level=ERROR msg=connected service=s g.error": 2,
			"level=WARN msg=back":                         1,
		} {
			if got := count(text); got != want*round {
				t.Errorf("round %d: %s: %d times, want %d", round, text, got, want*round)
			}
		}
	}
	if n := count(`level=WARN msg="not yet"`); n != 2 {
		t.Errorf("%d times before there was a connection", n)
	}
}
