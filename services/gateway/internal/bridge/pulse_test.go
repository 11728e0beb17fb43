package bridge

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPulseTellsOfAStandstill(t *testing.T) {
	t.Parallel()
	const lease = 3 * time.Second
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	p := &pulse{lease: lease}
	check := func(when string, since, now time.Duration, want bool) {
		t.Helper()
		if got := p.slept(at(since), at(now)); got != want {
			t.Errorf("%s: %t, want %t", when, got, want)
		}
	}
	check("not running", 0, time.Hour, false)
	p.tick(at(0))
	p.tick(at(lease))
	check("a short standstill", 0, 2*lease, false)
	const back = 10 * time.Second
	check("before the pulse beats again", lease+50*time.Millisecond, back, true)
	check("what came since, before the pulse beats again", back, back, false)
	p.tick(at(back))
	p.tick(at(back + pulseEvery))
	check("afterwards", lease+50*time.Millisecond, back+pulseEvery, true)
	check("what came since", back, back+pulseEvery, false)
	for now := back; now <= back+lease+2*pulseEvery; now += pulseEvery {
		p.tick(at(now))
	}
	check("when claims were heard of again", 0, back+lease+2*pulseEvery, false)
}

func TestPulseBeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p, done, start := &pulse{lease: time.Second}, make(chan struct{}), time.Now()
		go func() { p.run(ctx); close(done) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.slept(start, time.Now()) {
			t.Error("stood still")
		}
		stop()
		<-done
		time.Sleep(time.Minute)
		if p.slept(start, time.Now()) {
			t.Error("stood still when it had ended")
		}
	})
}
