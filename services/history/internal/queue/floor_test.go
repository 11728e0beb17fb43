package queue_test

import (
	"context"
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
		stream, consumer := seen(step.created, step.at)
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

// seen is how a queue is seen.
func seen(created time.Time, at uint64) (*jetstream.StreamInfo, *jetstream.ConsumerInfo) {
	return &jetstream.StreamInfo{Created: created, Config: jetstream.StreamConfig{Name: "S"}},
		&jetstream.ConsumerInfo{Name: "c", AckFloor: jetstream.SequenceInfo{Stream: at}}
}

// overtaken is a database in which others note something between a look and a note.
type overtaken struct {
	queue.Database
	by func()
}

func (o overtaken) NoteFact(ctx context.Context, name, was, value string) (bool, error) {
	o.by()
	return o.Database.NoteFact(ctx, name, was, value)
}

// TestInstancesThatNoteAtOnce has one look, another one look and note more, and then the first one note what it wanted to.
func TestInstancesThatNoteAtOnce(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "history.db"), sqlite.SyncNormal)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	created := time.Now()
	var a, b queue.Floor
	note := func(f *queue.Floor, db queue.Database, at uint64) {
		t.Helper()
		stream, consumer := seen(created, at)
		if err := f.Note(t.Context(), db, stream, consumer); err != nil {
			t.Errorf("%d: %v", at, err)
		}
	}
	for at := uint64(10); at < 40; at += 10 { // nothing is noted at first
		note(&a, overtaken{db, func() { note(&b, db, at+5) }}, at)
		note(&b, db, at+5)
		note(&a, db, at+6)
		note(&b, db, at+6)
	}
}
