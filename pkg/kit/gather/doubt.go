package gather

import (
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// patience is how long nothing need come before gateways are asked whether they are there, and how often then.
	patience = 250 * time.Millisecond
	// rarely is how often gateways are asked that were there when they were asked before.
	rarely = 2 * time.Second
	// gone is how long NATS must not reach a gateway until it is not waited for: longer than one takes to connect again
	// when a NATS server is restarted (250 ms and up to 1 s of jitter).
	gone = 1500 * time.Millisecond
	// memory is for how long it holds that a gateway was not reached.
	memory = 5 * time.Second
)

// doubts asks gateways that do not answer whether they are there.
type doubts struct {
	gatherer *Gatherer
	probe    Probe
	inbox    string               // before the gateway's id: where the answers come
	asked    map[string]time.Time // gateways that were asked and have not answered, and when
	away     map[string]bool      // gateways that were not there when they were last asked, and may be gone
	there    bool                 // whether one of them was
}

func (d *doubts) ask(gateways []string) error {
	if d.probe == nil {
		return nil
	}
	for _, gateway := range gateways {
		if time.Since(d.asked[gateway]) < rarely { // later it is asked again: the answer may have been lost
			continue
		}
		subject, err := d.probe(gateway)
		if err != nil {
			return fmt.Errorf("asking the gateway %s whether it is there: %w", gateway, err)
		}
		if err := d.gatherer.nc.PublishRequest(subject, d.inbox+gateway, nil); err != nil {
			return fmt.Errorf("publishing on %s: %w", subject, err)
		}
		if d.asked == nil {
			d.asked, d.away = make(map[string]time.Time), make(map[string]bool)
		}
		d.asked[gateway] = time.Now()
	}
	return nil
}

// answered reports whether the gateway is gone.
func (d *doubts) answered(gateway string, msg *nats.Msg) bool {
	delete(d.asked, gateway)
	if !nobody(msg) {
		delete(d.away, gateway)
		d.there = true
		d.gatherer.absent.forget(gateway)
		return false
	}
	if d.gatherer.absent.note(gateway, time.Now()) < gone {
		d.away[gateway] = true
		return false
	}
	delete(d.away, gateway)
	return true
}

// pause is how long to wait until gateways are asked again.
func (d *doubts) pause() time.Duration {
	if d.there && len(d.away) == 0 {
		return rarely
	}
	return patience
}

// absences are the gateways that NATS did not reach lately.
type absences struct {
	mu sync.Mutex
	of map[string]absence
}

type absence struct{ first, last time.Time }

// note that a gateway was not reached returns for how long it has not been.
func (a *absences) note(gateway string, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, absence := range a.of {
		if now.Sub(absence.last) > memory {
			delete(a.of, id)
		}
	}
	this, known := a.of[gateway]
	if !known {
		this.first = now
	}
	this.last = now
	if a.of == nil {
		a.of = make(map[string]absence)
	}
	a.of[gateway] = this
	return now.Sub(this.first)
}

// forget that a gateway was not reached, since it has answered.
func (a *absences) forget(gateway string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.of, gateway)
}

// among are those of the gateways that were not reached when they were last asked.
func (a *absences) among(gateways []string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, gateway := range gateways {
		if _, known := a.of[gateway]; known {
			all = append(all, gateway)
		}
	}
	return all
}
