package postgres

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestLargeMessagesAreNotReadInVain reads from a room with large messages as a page does that takes few of them.
func TestLargeMessagesAreNotReadInVain(t *testing.T) {
	const n, size, taken = contract.DefaultHistoryPage + 1, 100 << 10, 3
	link := pgtest.Through(t, pgtest.New(t))
	s, err := Open(t.Context(), link.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var messages []record.Message
	for i := range n {
		picture := make([]byte, size)
		if _, err := rand.Read(picture); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, record.Message{ID: record.ID{Epoch: 1, Sequence: int64(i + 1)}, Namespace: "_", Targets: []string{"room.red"}, User: "u1", Time: time.Now(),
			Event: fmt.Appendf(nil, `["m","picture",%d]`, i), Attachments: [][]byte{picture}})
	}
	if _, _, err := s.Append(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	place := record.Place{Namespace: "_", Target: "room.red"}
	for way, read := range map[string]func(each func(record.Message) bool) error{
		"older": func(each func(record.Message) bool) error { return s.Older(t.Context(), place, record.Newest, n, each) },
		"newer": func(each func(record.Message) bool) error { return s.Newer(t.Context(), place, record.ID{}, n, each) },
		"said":  func(each func(record.Message) bool) error { return s.Said(t.Context(), "u1", record.ID{}, n, each) },
		"search": func(each func(record.Message) bool) error {
			return s.Search(t.Context(), "_", nil, []record.Word{{Text: "picture"}}, record.Newest, n, each)
		},
	} {
		for _, want := range []int{taken, n} {
			got, before := 0, link.Passed.Load()
			if err := read(func(record.Message) bool { got++; return got < want }); err != nil || got != want {
				t.Fatalf("%s: %d messages, %v; want %d", way, got, err, want)
			}
			if passed := link.Passed.Load() - before; want == taken && passed > n*size/2 {
				t.Errorf("%s: %d bytes were read for %d messages of %d", way, passed, taken, size)
			}
		}
	}
}

// TestAnExportReadsWhatFitsAPage has a user with many marks and changes.
func TestAnExportReadsWhatFitsAPage(t *testing.T) {
	const n = 50_000
	link := pgtest.Through(t, pgtest.New(t))
	s, err := Open(t.Context(), link.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.Append(t.Context(), []record.Message{said(1)}); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"INSERT INTO marks (author, namespace, target, epoch, sequence) SELECT 'ann', '_', 'room.' || i, 1, i FROM generate_series(1, %d) AS t(i)",
		"INSERT INTO changes (message, action, author, socket, name, time, payload, lengths) SELECT m.id, 'delete', 'ann', '', 'Ann', i, '', '' FROM generate_series(1, %d) AS t(i) CROSS JOIN messages m",
	} {
		if _, err := s.DB().Exec(fmt.Sprintf(statement, n)); err != nil {
			t.Fatal(err)
		}
	}
	for what, read := range map[string]func(each func() bool) error{
		"marks": func(each func() bool) error {
			return s.Marks(t.Context(), "ann", record.Place{}, func(record.Mark) bool { return each() })
		},
		"changes": func(each func() bool) error {
			return s.Did(t.Context(), "ann", 0, func(record.Message, record.Trace) bool { return each() })
		},
	} {
		got, before := 0, link.Passed.Load()
		if err := read(func() bool { got++; return got < 10 }); err != nil || got != 10 {
			t.Fatalf("%s: %d, %v", what, got, err)
		}
		if passed := link.Passed.Load() - before; passed > 10*n {
			t.Errorf("%s: %d bytes were read for 10", what, passed)
		}
	}
}
