package login

import (
	"fmt"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l := newLimiter(6, 100)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for n := range 6 {
		if wait, ok := l.allow("alice", now); !ok {
			t.Fatalf("attempt %d of 6 must wait %s", n+1, wait)
		}
	}
	wait, ok := l.allow("alice", now)
	if ok || wait < 9*time.Second || wait > 10*time.Second {
		t.Errorf("attempt 7: wait %s, %v; want 10s", wait, ok)
	}
	if _, ok := l.allow("bob", now); !ok {
		t.Error("another key must wait, too")
	}
	if _, ok := l.allow("alice", now.Add(10*time.Second)); !ok {
		t.Error("after the time it was told to wait, it must wait again")
	}
	if _, ok := l.allow("alice", now.Add(10*time.Second)); ok {
		t.Error("one wait gave two attempts")
	}
}

func TestLimiterIsBounded(t *testing.T) {
	const capacity = 10
	l := newLimiter(1, capacity)
	now := time.Now()
	l.allow("busy", now)
	for n := range 1000 {
		l.allow(fmt.Sprint(n), now)
		if _, ok := l.allow("busy", now); ok {
			t.Fatalf("a key in use was forgotten after %d others", n)
		}
		if len(l.known) > capacity || l.recent.Len() != len(l.known) {
			t.Fatalf("%d keys are remembered, %d in a row; want at most %d", len(l.known), l.recent.Len(), capacity)
		}
	}
}

func TestAddressKey(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:5000": "192.0.2.1", "192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64",
		"somewhere": "somewhere", "": "",
	} {
		if got := addressKey(address); got != want {
			t.Errorf("addressKey(%q) = %q; want %q", address, got, want)
		}
	}
}
