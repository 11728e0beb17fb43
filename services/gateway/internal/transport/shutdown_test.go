package transport

import (
	"context"
	"errors"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
)

func TestShutdown(t *testing.T) {
	s := newServer(t, Options{})
	c, onWS := s.openWS()
	onWS.conn.Send(text("last"))
	idle, polled, upgrading := s.open(), s.open(), s.open()
	pending := s.goGet(polled)
	u := s.probe(upgrading)
	finished := make(chan error, 1)
	go func() { finished <- s.eio.Shutdown(context.Background()) }()
	c.want("4last")
	c.wantClose(ws.CloseGoingAway)
	recv(t, "the poll", pending).want(t, 200, "1")
	u.wantClose(ws.CloseNoStatusReceived)
	for _, p := range []*peer{onWS, idle, polled, upgrading} {
		p.wantClosed(t, ReasonServerShutdown)
	}
	if err := recv(t, "Shutdown", finished); err != nil {
		t.Error(err)
	}
	if a := s.do("GET", "EIO=4&transport=polling", ""); a.status != 503 {
		t.Errorf("a handshake after Shutdown: %d %s", a.status, a.body)
	}
	if err := s.eio.Shutdown(context.Background()); err != nil {
		t.Errorf("second Shutdown: %v", err)
	}
}

// A client that neither reads nor closes does not hold Shutdown longer than its context.
func TestShutdownDeadline(t *testing.T) {
	s := newServer(t, Options{MaxQueueBytes: 1 << 30})
	_, p := s.openWS()
	for range 16 {
		p.conn.Send(NewMessage(big(1 << 20)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.eio.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	p.wantClosed(t, ReasonServerShutdown)
}
