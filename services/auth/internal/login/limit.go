package login

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxTracked bounds how many names, and how many addresses, are remembered.
const maxTracked = 10_000

// limiter lets each key try a number of times a minute, that many at once. It remembers the keys seen last,
// at most maxTracked; one that was forgotten starts afresh. Its methods may be called concurrently.
type limiter struct {
	perMinute int
	capacity  int

	mu     sync.Mutex
	known  map[string]*list.Element // of *bucket
	recent *list.List               // front: seen last
}

type bucket struct {
	key   string
	limit *rate.Limiter
}

func newLimiter(perMinute, capacity int) *limiter {
	return &limiter{perMinute: perMinute, capacity: capacity, known: make(map[string]*list.Element), recent: list.New()}
}

// allow says whether the key may try now, and if not, how long it must wait.
func (l *limiter) allow(key string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key)
	if b.limit.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - b.limit.TokensAt(now)
	return time.Duration(missing / float64(b.limit.Limit()) * float64(time.Second)), false
}

// bucket needs mu held.
func (l *limiter) bucket(key string) *bucket {
	if e, ok := l.known[key]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if l.recent.Len() >= l.capacity {
		oldest := l.recent.Back()
		delete(l.known, l.recent.Remove(oldest).(*bucket).key)
	}
	b := &bucket{key: key, limit: rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)}
	l.known[key] = l.recent.PushFront(b)
	return b
}

// addressKey is what counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is what
// one customer has. The port is left out. Anything else counts as it is written.
func addressKey(address string) string {
	var ip netip.Addr
	if ap, err := netip.ParseAddrPort(address); err == nil {
		ip = ap.Addr()
	} else if ip, err = netip.ParseAddr(address); err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}
