package ingest

import "github.com/nats-io/nats.go/jetstream"

const (
	// batchBytes bounds what is stored in one transaction, and what is held in memory several times over for it: in the messages, in a
	// statement, and on its way to the database. A post may be larger.
	batchBytes = 16 << 20
	// firstPull is how many messages are pulled before it is known how large they are.
	firstPull = 16
)

// portions divides posts into rows that are stored one after the other.
func portions(posts []post) func(yield func([]post) bool) {
	return func(yield func([]post) bool) {
		first, size := 0, 0
		for i, p := range posts {
			n := len(p.msg.Data())
			if size+n > batchBytes && i > first {
				if !yield(posts[first:i]) {
					return
				}
				first, size = i, 0
			}
			size += n
		}
		yield(posts[first:])
	}
}

// toPull is how many messages to pull next, if so many were pulled last and these came: so many as would fit if they are as large, and
// no more than twice as many.
func (in *Ingester) toPull(last int, msgs []jetstream.Msg) int {
	size := 0
	for _, msg := range msgs {
		size += len(msg.Data())
	}
	if len(msgs) == 0 {
		return last
	}
	return max(1, min(in.Batch, 2*last, batchBytes*len(msgs)/max(1, size)))
}
