// Package sweep takes messages out of history that are older than they may be.
//
// It does not know which database that is. Several instances may sweep at once: what is gone is gone.
package sweep

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/natter-io/natter/services/history/internal/record"
)

// Store is what sweep needs of a database.
type Store interface {
	// NextPlace goes from place to place, from the zero one on.
	NextPlace(ctx context.Context, after record.Place) (place record.Place, ok bool, err error)
	// Sweep takes out of a place what was said before then.
	Sweep(ctx context.Context, place record.Place, before time.Time) (swept int, err error)
}

// Rules say how long messages are kept; 0 is for ever.
type Rules struct {
	Keep time.Duration // where nothing else is said
	// Rooms says it for rooms, by namespace and target as they stand in subjects. The target [EveryOther] is for all
	// of the namespace that is not named.
	Rooms map[record.Place]time.Duration
}

// EveryOther is no place's target.
const EveryOther = "*"

// For says how long messages of a place are kept; 0 is for ever.
func (r Rules) For(place record.Place) time.Duration {
	if keep, ok := r.Rooms[place]; ok {
		return keep
	}
	if keep, ok := r.Rooms[record.Place{Namespace: place.Namespace, Target: EveryOther}]; ok {
		return keep
	}
	return r.Keep
}

// none says whether everything is kept for ever.
func (r Rules) none() bool {
	for _, keep := range r.Rooms {
		if keep > 0 {
			return false
		}
	}
	return r.Keep == 0
}

const (
	every = 10 * time.Minute
	retry = 30 * time.Second
)

// Sweeper runs the loop. Its fields are set before Run is called.
type Sweeper struct {
	Store   Store
	Rules   Rules
	Every   time.Duration // between sweeps; 10 min if 0
	Log     *slog.Logger
	Metrics *Metrics
}

// Run sweeps until ctx ends. Whatever fails is logged and tried again, so it returns nil only.
func (s *Sweeper) Run(ctx context.Context) error {
	if s.Rules.none() {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		delay := s.Every
		if delay == 0 {
			delay = every
		}
		if err := s.once(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("cannot take old messages out yet", "error", err, "retry", retry)
			delay = min(delay, retry)
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

func (s *Sweeper) once(ctx context.Context) error {
	now, total := time.Now(), 0
	for place, ok, err := s.Store.NextPlace(ctx, record.Place{}); ok || err != nil; place, ok, err = s.Store.NextPlace(ctx, place) {
		if err != nil {
			return err
		}
		keep := s.Rules.For(place)
		if keep == 0 {
			continue
		}
		swept, err := s.Store.Sweep(ctx, place, now.Add(-keep))
		s.Metrics.swept.Add(float64(swept))
		if total += swept; err != nil {
			return err
		}
	}
	if total > 0 {
		s.Log.Info("took old messages out", "messages", total)
	}
	return nil
}

// Metrics of a [Sweeper].
type Metrics struct{ swept prometheus.Counter }

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{swept: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "natter", Subsystem: "history", Name: "swept_total",
		Help: "Messages taken out of a room since they were older than they may be."})}
	r.MustRegister(m.swept)
	return m
}
