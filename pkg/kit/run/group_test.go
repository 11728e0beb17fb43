package run

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// journal notes what components do, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) want(t *testing.T, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.lines, want) {
		t.Errorf("got  %v\nwant %v", j.lines, want)
	}
}

// component needs start until it is ready and stop until it has ended.
func (j *journal) component(name string, start, stop time.Duration) Component {
	ready := make(chan struct{})
	return Component{
		Name: name,
		Run: func(ctx context.Context) error {
			j.add(name + " starts")
			select {
			case <-time.After(start):
				close(ready)
			case <-ctx.Done():
			}
			<-ctx.Done()
			time.Sleep(stop)
			j.add(name + " ends")
			return ctx.Err()
		},
		Ready: func(ctx context.Context) error {
			select {
			case <-ready:
				j.add(name + " ready")
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g Group
		g.Add(j.component("nats", time.Second, time.Second))
		g.Add(j.component("store", 2*time.Second, 0))
		g.Add(j.component("http", 0, 3*time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		j.want(t, "nats starts", "nats ready", "store starts", "store ready", "http starts", "http ready",
			"http ends", "store ends", "nats ends")
	})
}

func TestFirstErrorStopsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g Group
		boom, late := errors.New("boom"), errors.New("close failed")
		g.Add(j.component("nats", 0, 0))
		g.Add(Component{Name: "store", Run: func(ctx context.Context) error { <-ctx.Done(); return late }})
		g.Add(Component{Name: "bad", Run: func(context.Context) error { time.Sleep(time.Second); return boom }})
		err := g.Run(t.Context())
		if !errors.Is(err, boom) || !errors.Is(err, late) || err.Error() != "bad: boom\nstore: close failed" {
			t.Errorf("got %v", err)
		}
		j.want(t, "nats starts", "nats ready", "nats ends")
	})
}

func TestFailureBeforeReadiness(t *testing.T) {
	boom := errors.New("boom")
	never := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]Component{
		"Run fails":   {Name: "bad", Run: func(context.Context) error { return boom }, Ready: never},
		"Ready fails": {Name: "bad", Run: never, Ready: func(context.Context) error { return boom }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				var g Group
				g.Add(j.component("nats", 0, 0))
				g.Add(c)
				g.Add(j.component("never", 0, 0))
				err := g.Run(t.Context())
				if !errors.Is(err, boom) || strings.Count(err.Error(), "boom") != 1 || !strings.HasPrefix(err.Error(), "bad: ") {
					t.Errorf("got %v", err)
				}
				j.want(t, "nats starts", "nats ready", "nats ends")
			})
		})
	}
}

func TestEarlierComponentFailsWhileALaterStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g Group
		boom := errors.New("boom")
		g.Add(Component{Name: "bad", Run: func(context.Context) error { time.Sleep(time.Second); return boom }})
		g.Add(j.component("slow", time.Hour, 0))
		g.Add(j.component("never", 0, 0))
		if err := g.Run(t.Context()); !errors.Is(err, boom) || err.Error() != "bad: boom" {
			t.Errorf("got %v", err)
		}
		j.want(t, "slow starts", "slow ends")
	})
}

func TestStopWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g Group
		g.Add(j.component("slow", time.Hour, 0))
		g.Add(j.component("never", 0, 0))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		j.want(t, "slow starts", "slow ends")
	})
}

func TestDoneIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g Group
		once := func(context.Context) error { j.add("once"); return nil }
		g.Add(Component{Name: "once", Run: once, Ready: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
		g.Add(Component{Name: "short", Run: func(context.Context) error { time.Sleep(time.Second); j.add("short"); return nil }})
		if err := g.Run(t.Context()); err != nil {
			t.Error(err)
		}
		j.want(t, "once", "short")
	})
}

func TestStopHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		g := Group{StopTimeout: 5 * time.Second}
		g.Add(j.component("nats", 0, 0))
		g.Add(j.component("stuck", 0, time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		cancel1 := time.AfterFunc(time.Second, cancel)
		defer cancel1.Stop()
		began := time.Now()
		err := g.Run(ctx)
		if !errors.Is(err, ErrStopTimeout) || !strings.HasPrefix(err.Error(), "stuck: did not stop in time") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("took %s", took)
		}
		synctest.Wait()
		j.want(t, "nats starts", "nats ready", "stuck starts", "stuck ready", "nats ends")
		time.Sleep(time.Hour) // let the stuck one end within the test
	})
}

func TestCanceledOnItsOwnIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		g.Add(Component{Name: "odd", Run: func(context.Context) error { return context.Canceled }})
		if err := g.Run(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestEmptyGroup(t *testing.T) {
	var g Group
	if err := g.Run(t.Context()); err != nil {
		t.Error(err)
	}
}
