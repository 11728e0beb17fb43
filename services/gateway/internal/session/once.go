package session

import (
	"encoding/json"

	"golang.org/x/sync/semaphore"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

// takeID finds the event's application id where the rule says that it stands. An id behind the arguments is taken off:
// clients hear as many arguments from those who give ids as from those who do not.
func (e *event) takeID(elements [][]byte) *contract.Refusal {
	if e.rule.ID == "" {
		return nil
	}
	path, err := contract.ParseIDPath(e.rule.ID)
	if err == nil {
		e.id, err = path.Find(e.args)
	}
	if err != nil {
		return refuse(contract.CodeInvalid, "id: %v", err)
	}
	if path.Arg == e.rule.Args && len(e.args) == path.Arg+1 {
		e.args = e.args[:path.Arg]
		e.array = socketio.Join(elements[:1+path.Arg]...)
	}
	return nil
}

// A client's private id is two random parts: the first is drawn for each session; the second, its origin, stays the same
// when the client comes back and starts afresh. So what a guest says again after that is known to be the same guest's. The
// stock client gives the private id that it got last with every CONNECT. Nobody but the client and gateways knows it.

// PrivateIDLength is the length of a private id.
const PrivateIDLength = 2 * contract.SocketIDLength

// newPrivateID draws a private id for a client that names an earlier one, or "".
func newPrivateID(earlier string) string {
	origin := originOf(earlier)
	if origin == "" {
		origin = newID()
	}
	return newID() + origin
}

// originOf is the part of a private id that stays; "" if it is none.
func originOf(pid string) string {
	if len(pid) != PrivateIDLength {
		return ""
	}
	return pid[contract.SocketIDLength:]
}

// A guest's secret has at least so many and at most so many bytes.
const minSecret, maxSecret = 16, 128

// guestSecret is what a client gives in auth as "client": something that it drew at random and tells nobody else, by which
// gateways know it again; "" if it gives none, or one that could be guessed.
func guestSecret(auth json.RawMessage) string {
	var a struct {
		Client string `json:"client"`
	}
	if json.Unmarshal(auth, &a) != nil || len(a.Client) < minSecret || len(a.Client) > maxSecret {
		return ""
	}
	return a.Client
}

// Author is who gives the application ids of what the socket says: the user, or a guest.
func (s *Socket) Author() contract.Author {
	if s.user != "" {
		return contract.ByUser(s.user)
	}
	if s.secret != "" {
		return contract.ByGuest("client " + s.secret)
	}
	if s.origin != "" {
		return contract.ByGuest(s.origin)
	}
	return contract.ByGuest(s.id) // it cannot come back as the same
}

// maxStoring is how much of what one client said may wait for JetStream, in bytes.
const maxStoring = 4 << 20

// storing bounds what one client says and JetStream has not stored yet.
type storing struct {
	places chan struct{}
	bytes  *semaphore.Weighted
}

// startStore takes room for a post under way, and waits for it: nothing more is read from a client that says more than
// can be stored. It returns false if the connection ends meanwhile. The connection's reader calls it, nobody else.
func (s *Socket) startStore(size int) bool {
	if s.storing.places == nil {
		s.storing = storing{make(chan struct{}, s.client.srv.opts.MaxPendingAcks), semaphore.NewWeighted(maxStoring)}
	}
	select {
	case s.storing.places <- struct{}{}:
	case <-s.client.conn.Done():
		return false
	}
	if s.storing.bytes.Acquire(s.client.ctx, weight(size)) != nil {
		<-s.storing.places
		return false
	}
	return true
}

func (s *Socket) endStore(size int) {
	s.storing.bytes.Release(weight(size))
	<-s.storing.places
}

// weight lets a message through that is larger than all that may wait, by itself.
func weight(size int) int64 { return int64(min(size, maxStoring)) }
