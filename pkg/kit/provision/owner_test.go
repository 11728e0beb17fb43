package provision

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// TestTheHistoryServiceDecidesWhatPostsStay has gateways make the posts stream first, and start again later.
func TestTheHistoryServiceDecidesWhatPostsStay(t *testing.T) {
	for name, age := range map[string]time.Duration{"less": time.Hour, "more": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			ctx, _, js := connect(t)
			var s contract.Subjects
			var j journal
			gateway := j.storage(1)
			gateway.MaxBytes = 1 << 30 // of the main stream
			history := j.storage(1)
			history.MaxBytes = 1 << 20
			if _, err := Posts(ctx, js, s, 0, gateway); err != nil {
				t.Fatal(err)
			}
			if c := config(t, js, "NATTER_POSTS"); c.MaxAge != postsAge || c.MaxBytes > 0 || len(c.Sources) != 1 {
				t.Fatalf("%+v", c)
			}
			for range 2 {
				if _, err := Posts(ctx, js, s, age, history); err != nil {
					t.Fatal(err)
				}
				if _, err := Posts(ctx, js, s, 0, gateway); err != nil {
					t.Fatal(err)
				}
				if c := config(t, js, "NATTER_POSTS"); c.MaxAge != age || c.MaxBytes != 1<<20 || c.Metadata[unowned] != "" {
					t.Fatalf("%+v", c)
				}
			}
			if log := j.take(); strings.Count(log, "changed a stream") != 2 || strings.Count(log, "of these settings from now on") != 1 || strings.Contains(log, "more than the settings say") {
				t.Error(log)
			}
			// From then on what history wants is a lower bound, as everywhere.
			if _, err := Posts(ctx, js, s, age/2, history); err != nil {
				t.Fatal(err)
			}
			if c := config(t, js, "NATTER_POSTS"); c.MaxAge != age {
				t.Errorf("age %s", c.MaxAge)
			}
			if log := j.take(); !strings.Contains(log, "more than the settings say") {
				t.Error(log)
			}
		})
	}
}

func TestHeldStreamGetsItsAgeBack(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	var j journal
	st := j.storage(1)
	start := func(age time.Duration) {
		t.Helper()
		if _, err := Main(ctx, js, s, age, time.Second, st); err != nil {
			t.Fatal(err)
		}
	}
	if err := Hold(ctx, js, s, st); err == nil || !strings.Contains(err.Error(), "stream NATTER") {
		t.Errorf("without a stream: %v", err)
	}
	start(time.Minute)
	edit(t, js, "NATTER", func(c *jetstream.StreamConfig) { c.Metadata = map[string]string{"team": "chat"} })
	want := func(age time.Duration) {
		t.Helper()
		if c := config(t, js, "NATTER"); c.MaxAge != age || c.Metadata["team"] != "chat" || (c.Metadata[held] != "") != (age == 0) {
			t.Errorf("age %s, %v; want %s", c.MaxAge, c.Metadata, age)
		}
	}
	unhold := func(age time.Duration) {
		t.Helper()
		if err := Unhold(ctx, js, s, age, st); err != nil {
			t.Fatal(err)
		}
	}
	unhold(time.Hour) // it is not held
	want(time.Minute)
	for range 2 {
		for range 2 { // by several gateways
			if err := Hold(ctx, js, s, st); err != nil {
				t.Fatal(err)
			}
		}
		start(30 * time.Second) // a gateway with less in its settings
		want(0)
		unhold(time.Second)
		want(time.Minute)
	}
	if err := Hold(ctx, js, s, st); err != nil {
		t.Fatal(err)
	}
	j.take()
	start(time.Hour) // one with more
	if log := j.take(); !strings.Contains(log, "setting=max_age from=1m0s to=1h0m0s") {
		t.Error(log)
	}
	want(0)
	unhold(time.Minute)
	want(time.Hour)
	// What is not limited is not held either, and stays so.
	edit(t, js, "NATTER", func(c *jetstream.StreamConfig) { c.MaxAge = 0 })
	if err := Hold(ctx, js, s, st); err != nil {
		t.Fatal(err)
	}
	unhold(time.Minute)
	if c := config(t, js, "NATTER"); c.MaxAge != 0 {
		t.Errorf("age %s", c.MaxAge)
	}
}
