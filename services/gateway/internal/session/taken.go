package session

import (
	"context"
	"fmt"
)

// taken is who has taken a socket of an ordered namespace: the instance of a service that hears all that the socket
// says, and nobody else of that service.
type taken struct {
	service, instance string // "" if nobody has
	leaving           bool   // the instance wants to go: nothing more is read from the client
	lost              bool   // the instance is gone: what the client says now is said to nobody
}

// take waits until an instance takes the socket, if its namespace asks for it. It is as patient as [Socket.ask].
func (s *Socket) take(ctx context.Context) error {
	backend := s.client.srv.backend
	_, ns, _ := backend.Namespace(s.namespace)
	if s.TakenBy() == ns.Ordered {
		return nil
	}
	s.untake() // by another, before the configuration changed
	if ns.Ordered == "" {
		return nil
	}
	var instance string
	err := s.patiently(ctx, func(ctx context.Context) (err error) {
		instance, err = backend.Take(ctx, s, ns.Ordered)
		return err
	})
	if err != nil {
		return fmt.Errorf("service %s: %w", ns.Ordered, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken.service, s.taken.instance = ns.Ordered, instance
	return nil
}

// untake ends what take began.
func (s *Socket) untake() {
	if s.TakenBy() == "" {
		return
	}
	s.client.srv.backend.Untake(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken.service, s.taken.instance = "", ""
}

// inOrder says whether the socket is taken as its namespace asks for, which may have changed since it was.
func (s *Socket) inOrder() bool {
	_, ns, _ := s.client.srv.backend.Namespace(s.namespace)
	return ns.Ordered == "" || ns.Ordered == s.TakenBy()
}

// TakenBy is the service whose instance has taken the socket, or "".
func (s *Socket) TakenBy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken.service
}

// Instance is who alone hears what the socket says, or "": everybody, since nobody has taken it or who has is gone.
func (s *Socket) Instance() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken.lost {
		return ""
	}
	return s.taken.instance
}

// Pause has nothing more read from the client once what it is saying has been passed on: who has taken it wants to go.
func (s *Socket) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken.leaving = true
}

// Owed says whether the client waits for acks.
func (s *Socket) Owed() bool { return s.replies.Load() > 0 }

// Lose closes the connection because the instance that had taken the socket is gone. What the client has said since
// is said to nobody, since another instance would hear it out of order; the socket's end is told to whoever is there.
func (s *Socket) Lose() {
	s.life.Lock()
	s.mu.Lock()
	s.taken.lost = true
	s.mu.Unlock()
	s.life.Unlock()
	s.CloseTransport()
}

func (s *Socket) lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken.lost
}

// holdIfLeaving keeps the connection's reader, and so the client, from saying more to an instance that wants to go.
func (s *Socket) holdIfLeaving() {
	s.mu.Lock()
	leaving := s.taken.leaving
	s.mu.Unlock()
	if leaving {
		<-s.client.conn.Done()
	}
}
