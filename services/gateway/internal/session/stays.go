package session

import "time"

// Stay is a time for which a socket was in a room that it has left: what was said there after a sequence of the stream, up to another, is
// for it. A gateway has handed it over by then, but the client may not have received it.
type Stay struct {
	Room  string `json:"room"`
	After uint64 `json:"after"`
	UpTo  uint64 `json:"upTo"`
}

// stays are a socket's latest ones, oldest first: as far back as the stream goes.
type stays []stay

type stay struct {
	Stay
	known time.Time // when it ended, or a client came back who may have missed some of it
}

// maxStays bounds what is stored of a socket that goes from room to room.
const maxStays = 100

// add returns them with some more, without those that are older than age.
func (all stays) add(age time.Duration, more ...Stay) stays {
	now := time.Now()
	for _, s := range more {
		if s.UpTo > s.After {
			all = append(all, stay{s, now})
		}
	}
	all = all[max(0, len(all)-maxStays):]
	for len(all) > 0 && now.Sub(all[0].known) > age {
		all = all[1:]
	}
	return all
}

// stored is what others need of them.
func (all stays) stored() []Stay {
	var stored []Stay
	for _, s := range all {
		stored = append(stored, s.Stay)
	}
	return stored
}
