package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrWentBack says that the database has less than it had: [Consumer] has the queue go back, too.
var ErrWentBack = errors.New("the database is as it was earlier: a backup was put back, or a standby took over that lacks the last commits")

// Floor is what this process knows to be noted of a queue. Its methods may be called concurrently; its zero value knows nothing.
type Floor struct {
	mu    sync.Mutex
	known position
}

// position is how far a queue is: up to a sequence of the stream that was created then, in Unix nanoseconds.
type position struct {
	created  int64
	sequence uint64
}

// Note notes how far a queue is: all up to there is in the database, or never will be. It fails with [ErrWentBack] if the database has forgotten what
// was noted before, and with [ErrOtherDatabase] if the queue is not its own.
func (f *Floor) Note(ctx context.Context, db Database, stream *jetstream.StreamInfo, queue *jetstream.ConsumerInfo) error {
	if err := owned(queue, db.ID()); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, noted, err := read(ctx, db, stream, queue.Name)
	if err != nil {
		return err
	}
	is := position{stream.Created.UnixNano(), queue.AckFloor.Stream}
	switch {
	case f.known.created == is.created && (noted.created != is.created || noted.sequence < f.known.sequence):
		return ErrWentBack
	case noted == is, noted.created == is.created && noted.sequence > is.sequence && noted != f.known: // another instance has just noted more
		f.known = noted
		return nil
	}
	took, err := db.NoteFact(ctx, nameOf(stream, queue.Name), text, fmt.Sprintf("%d %d", is.created, is.sequence))
	if took { // else another instance has just noted something: the next look finds it
		f.known = is
	}
	return err
}

func (f *Floor) set(known position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = known
}

// knows says whether anything is known to be noted of a queue of the stream.
func (f *Floor) knows(stream *jetstream.StreamInfo) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known.created == stream.Created.UnixNano()
}

// read reads what is noted, as it stands there; the zero position if nothing is.
func read(ctx context.Context, db Database, stream *jetstream.StreamInfo, consumer string) (text string, p position, err error) {
	text, err = db.Fact(ctx, nameOf(stream, consumer))
	if err != nil || text == "" {
		return text, p, err
	}
	if n, _ := fmt.Sscanf(text, "%d %d", &p.created, &p.sequence); n < 2 {
		p = position{created: 1} // of no stream
	}
	return text, p, nil
}

func nameOf(stream *jetstream.StreamInfo, consumer string) string {
	return "floor " + stream.Config.Name + " " + consumer
}

// rewind has the queue go back to where the database knows to have been. What is delivered again changes nothing if it is there.
func (f *Floor) rewind(ctx context.Context, js jetstream.JetStream, stream *jetstream.StreamInfo, queue *jetstream.ConsumerInfo, db Database, log *slog.Logger) error {
	_, noted, err := read(ctx, db, stream, queue.Name)
	if err != nil {
		return err
	}
	if noted == (position{}) && !f.knows(stream) { // it is new
		return nil
	}
	defer f.set(noted)
	floor := noted.sequence
	if noted.created != stream.Created.UnixNano() {
		floor = 0 // of a stream that was there before
	}
	if queue.AckFloor.Stream <= floor {
		return nil
	}
	about := []any{"stream", stream.Config.Name, "consumer", queue.Name, "acknowledged", queue.AckFloor.Stream, "database", floor}
	limited, cancel := context.WithTimeout(ctx, resetWait)
	defer cancel()
	if _, err := js.ResetConsumerToSequence(limited, stream.Config.Name, queue.Name, floor+1); err != nil {
		log.Warn(fmt.Sprintf("the database may lack what was acknowledged, since a backup was put back, or an instance was killed or started, and the queue cannot go back by itself: run \"nats consumer rm %s %s\"",
			stream.Config.Name, queue.Name), append(about, "error", err)...)
		return nil
	}
	log.Info("the database may lack what was acknowledged last, since a backup was put back, or an instance was killed or started: it is delivered again", about...)
	return nil
}

// resetWait bounds the request to go back; JetStream does not answer who may not ask.
const resetWait = 5 * time.Second
