package session

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/natter-io/natter/pkg/contract"
)

// member is a socket in the ack of who.
type member struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	User string `json:"user,omitempty"`
}

// members is the ack of who.
type members struct {
	OK      bool     `json:"ok"`
	Members []member `json:"members"`
	// Complete is false when a gateway did not answer in time, or left out a socket that fits no message.
	Complete bool `json:"complete"`
}

func (e *event) who(room string) *contract.Refusal {
	if e.rule.Members {
		if no := e.member(room); no != nil {
			return no
		}
	}
	if !e.wanted {
		return nil
	}
	if !e.socket.startReply() {
		return errTooManyReplies(e.name)
	}
	a := e.answer
	e.socket.client.srv.rosters.ask(place{e.socket.namespace, room}, func(array []byte, err error) {
		a.socket.endReply()
		if err != nil {
			a.unavailable("who is here is not known at the moment, try again", err)
			return
		}
		a.reply(array, nil)
	})
	return nil
}

// maxRosters bounds in how many rooms it is asked at one time who is there.
const maxRosters = 64

var errTooManyRosters = fmt.Errorf("%w: it is being asked who is in %d other rooms", ErrUnavailable, maxRosters)

// place is a room of a namespace.
type place struct{ namespace, room string }

// rosters find out who is in rooms. When somebody comes or goes, all pages in the room may ask at once: they share an answer,
// which was not begun before any of them asked.
type rosters struct {
	list func(namespace, room string) ([]contract.SocketInfo, error)

	mu      sync.Mutex
	waiting map[place][]func([]byte, error) // rooms of which a list is under way, and who wants the next one
}

func newRosters(list func(namespace, room string) ([]contract.SocketInfo, error)) *rosters {
	return &rosters{list: list, waiting: make(map[place][]func([]byte, error))}
}

// ask calls done once, later or at once, with the arguments of the ack or an error. The bytes are shared.
func (r *rosters) ask(p place, done func(array []byte, err error)) {
	r.mu.Lock()
	next, running := r.waiting[p]
	if !running && len(r.waiting) == maxRosters {
		r.mu.Unlock()
		done(nil, errTooManyRosters)
		return
	}
	r.waiting[p] = append(next, done)
	r.mu.Unlock()
	if !running {
		go r.run(p)
	}
}

// run makes one list after the other for as long as somebody wants one.
func (r *rosters) run(p place) {
	for {
		r.mu.Lock()
		asked := r.waiting[p]
		if len(asked) == 0 {
			delete(r.waiting, p)
			r.mu.Unlock()
			return
		}
		r.waiting[p] = nil
		r.mu.Unlock()
		array, err := encodeMembers(r.list(p.namespace, p.room))
		for _, done := range asked {
			done(array, err)
		}
	}
}

// encodeMembers makes the arguments of the ack. Some members are better than none, so the error is one only if there is none.
func encodeMembers(infos []contract.SocketInfo, err error) ([]byte, error) {
	if err != nil && len(infos) == 0 {
		return nil, err
	}
	ack := members{OK: true, Members: make([]member, len(infos)), Complete: err == nil}
	for i, info := range infos {
		ack.Members[i] = member{ID: info.ID, Name: info.Name, User: info.User}
	}
	slices.SortFunc(ack.Members, func(m, n member) int { return cmp.Or(cmp.Compare(m.Name, n.Name), cmp.Compare(m.ID, n.ID)) })
	return arguments(ack), nil
}
