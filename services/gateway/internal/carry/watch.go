package carry

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// maxBeat is the longest time between two questions whether a gateway lives.
const maxBeat = time.Second

// start subscribes. NATS knows of it when start returns.
func (l *link) start() (stop func(), err error) {
	var subs []*nats.Subscription
	stop = func() {
		for _, sub := range subs {
			_ = sub.Unsubscribe() // fails only on a closed connection
		}
	}
	for subject, handler := range map[string]nats.MsgHandler{
		l.opts.Subjects.CarryAny(l.opts.Gateway): l.hear,
		l.inbox + ".*.*":                         l.unheard,
	} {
		sub, err := l.nc.Subscribe(subject, handler)
		if err == nil {
			subs = append(subs, sub)
			err = sub.SetPendingLimits(queueMessages, queueBytes)
		}
		if err != nil {
			stop()
			return nil, fmt.Errorf("subscribing to %s: %w", subject, err)
		}
	}
	l.lost = func() (n int) {
		for _, sub := range subs {
			dropped, _ := sub.Dropped() // fails only on a closed subscription
			n += dropped
		}
		return n
	}
	if err := l.nc.FlushTimeout(answerTimeout); err != nil {
		// The subscriptions are made when NATS is there again.
		l.opts.Log.Warn("other gateways do not reach this one yet", "error", err)
	}
	return stop, nil
}

// unheard handles NATS's word that nobody hears what was sent to a gateway: it is gone. There is no such word
// where somebody listens to everything, so this only saves time.
func (l *link) unheard(msg *nats.Msg) {
	if len(msg.Data) > 0 || msg.Header.Get("Status") != "503" {
		return
	}
	tokens := strings.Split(msg.Subject[len(l.inbox)+1:], ".")
	if len(tokens) != 2 {
		return
	}
	id, err := strconv.ParseUint(tokens[1], 36, 64)
	if err != nil {
		return
	}
	for _, s := range l.streams(func(p string, s *stream) bool { return p == tokens[0] && (id == 0 || s.id == id) }) {
		s.fail(errSilent, false)
	}
}

// streams returns those that are meant.
func (l *link) streams(meant func(peer string, s *stream) bool) []*stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*stream
	for id, p := range l.peers {
		for _, s := range p.streams {
			if meant(id, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

func (l *link) breakAll(err error) {
	for _, s := range l.streams(func(string, *stream) bool { return true }) {
		s.fail(err, true)
	}
}

func (l *link) stopOut() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	for _, s := range l.streams(func(_ string, s *stream) bool { return s.out }) {
		s.fail(errStopping, true)
	}
}

// renew breaks all streams since messages may have been lost, the last one of a stream too, which nothing
// would show. The new epoch tells the other gateways as soon as they hear from this one.
func (l *link) renew() {
	l.epoch.Store(random())
	l.breakAll(errLost)
}

// watch finds out what no frame tells, until the context ends.
func (l *link) watch(ctx context.Context) {
	status := l.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer l.nc.RemoveStatusListener(status)
	beat := time.NewTicker(min(maxBeat, l.opts.Silence/3))
	defer beat.Stop()
	lost := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-status:
			l.renew()
		case <-beat.C:
			if n := l.lost(); n > lost {
				l.opts.Log.Warn("messages of other gateways were lost: this one reads too slowly", "messages", n-lost)
				lost = n
				l.renew()
			}
			l.askPeers()
		}
	}
}

// askPeers asks the gateways with which there are streams whether they live, and gives up the silent ones.
func (l *link) askPeers() {
	var ask []string
	silent := make(map[string]bool)
	l.mu.Lock()
	for id, p := range l.peers {
		if time.Since(p.heard) > l.opts.Silence {
			silent[id] = true
		} else {
			ask = append(ask, id)
		}
	}
	l.mu.Unlock()
	if len(silent) > 0 {
		for _, s := range l.streams(func(p string, _ *stream) bool { return silent[p] }) {
			s.fail(errSilent, true)
		}
	}
	for _, id := range ask {
		l.publish(id, frame{kind: kindPing})
	}
}
