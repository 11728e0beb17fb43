package queue_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/services/history/internal/queue"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

// TestFloor has two instances note how far a queue is.
func TestFloor(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "history.db"), sqlite.SyncNormal)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	created := time.Now()
	var a, b queue.Floor
	for i, step := range []struct {
		by      *queue.Floor
		created time.Time
		at      uint64
		owner   string
		want    error
		noted   uint64
	}{
		{&a, created, 5, "", nil, 5},
		{&b, created, 7, db.ID(), nil, 7},
		{&a, created, 6, "", nil, 7},                         // asked before b did
		{&a, created, 6, "", nil, 6},                         // the stream went back, or the queue was made anew
		{&b, created, 9, "", queue.ErrWentBack, 6},           // as if a backup had been put back
		{&b, created, 9, "", queue.ErrWentBack, 6},           // until it has gone back
		{&a, created, 8, "OTHER", queue.ErrOtherDatabase, 6}, // nothing to do with this database
		{&b, created.Add(time.Second), 1, "", nil, 1},        // the stream was made anew
	} {
		stream := &jetstream.StreamInfo{Created: step.created, Config: jetstream.StreamConfig{Name: "S"}}
		consumer := &jetstream.ConsumerInfo{Name: "c", AckFloor: jetstream.SequenceInfo{Stream: step.at}}
		consumer.Config.Metadata = map[string]string{"natter.database": step.owner}
		if err := step.by.Note(t.Context(), db, stream, consumer); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v; want %v", i, err, step.want)
		}
		text, err := db.Fact(t.Context(), "floor S c")
		if want := text[:len(text)-1] + string(rune('0'+step.noted)); err != nil || text != want {
			t.Errorf("step %d: %s is noted, %v; want %s", i, text, err, want)
		}
	}
}
