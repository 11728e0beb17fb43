package bridge

import (
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// On the way from the stream's leader to a gateway messages are lost in intervals of time: a route between nats-servers
// breaks, and until it is back, a second or so, nothing comes through, of no room. What was lost then shows as a silence
// between two live messages with other sequences between theirs. Those may have been for others, which costs a question;
// or for somebody here, and then they are read back before the later message is handed on, so that no offset passes them.

// silence is how far apart two live messages are, at least, between which some may have been lost: much less than it takes
// a route to come back. There are at most so many questions as it is contained in the time.
const silence = 100 * time.Millisecond

// beat is the last live message, as far as it matters for silences.
type beat struct {
	sequence uint64
	stored   time.Time // by the clock of the stream's leader, when it took the message in
	heard    time.Time // by the own
}

// silent says whether there was a silence before a live message in which something may have been lost, and where it
// began. The stored times tell a reader that lags the same as any other. The own clock tells of what the leader took in at one time
// and could store only much later, since its own routes were broken. A clock that goes backwards is another leader's.
func (b *Bridge) silent(s contract.Stored) (after uint64, was bool) {
	before, now := b.beat, time.Now()
	after = max(before.sequence, b.caught)
	if s.Sequence <= after { // heard late, or again
		return after, false
	}
	b.beat = beat{s.Sequence, s.Time, now}
	if s.Sequence == after+1 {
		return after, false
	}
	apart := s.Time.Sub(before.stored)
	return after, apart > silence || apart < 0 || now.Sub(before.heard) > silence
}
