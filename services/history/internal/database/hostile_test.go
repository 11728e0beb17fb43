package database_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// FuzzAppend says that whatever is read as a post either is stored, as it is, or is refused for good, and that the next
// post is stored, in both databases.
func FuzzAppend(f *testing.F) {
	for _, payload := range []string{`["m","x"]`, `["a\u0000b","\u0000"]`, `["\ud800","\udfff"]`, `["m",1e999999999]`, `["m",{"a":[[[["' \" | & :* @ \\"]]]]}]`, "[\"m\",\"\x00\"]", `["m"]` + "\x00\xff"} {
		f.Add("ida", "Ida", "gw.abcdefghijabcdefghij", "red,blue", "", []byte(payload))
	}
	f.Add("a\x00b", "\xff", "\x00", "red,red", "2", []byte(`["m"]`+"\x00\xff"))
	f.Add(strings.Repeat("x", 200), strings.Repeat("y", 9000), strings.Repeat("z", 9000), "=", "0", []byte(`["m"]`))
	stores := map[string]*database.Store{"sqlite": sqliteIn(f)(), "postgres": postgresIn(f)()}
	sequence := int64(0)
	f.Fuzz(func(t *testing.T, user, name, socket, rooms, lengths string, payload []byte) {
		h := contract.Header{contract.HeaderUser: {user}, contract.HeaderName: {name}, contract.HeaderSocket: {socket},
			contract.HeaderRooms: {rooms}, contract.HeaderAttachments: {lengths}}
		m, err := record.Decode(contract.Subjects{}, "natter.post._.many", h, payload)
		if err != nil {
			return
		}
		sequence += 2
		m.ID, m.Time = record.ID{Epoch: 1, Sequence: sequence}, time.Unix(1, 0)
		next := message(1, sequence+1, "room.next")
		for kind, s := range stores {
			stored, _, err := s.Append(t.Context(), []record.Message{m})
			if err != nil && !errors.Is(err, record.ErrRefused) || err == nil && stored != 1 {
				t.Fatalf("%s: %+v: stored %d, %v", kind, m, stored, err)
			}
			if err == nil && len(m.Targets) > 0 {
				got := older(t, s, m.Targets[0], m.ID.Next(), 1)
				if len(got) != 1 || string(got[0].Event) != string(m.Event) || got[0].User != m.User || got[0].Name != m.Name || len(got[0].Attachments) != len(m.Attachments) {
					t.Fatalf("%s: %+v is read as %+v", kind, m, got)
				}
			}
			appendAll(t, s, next)
		}
	})
}

// TestRefusals says which errors are the values' fault: those that a database really gives.
func TestRefusals(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		fail := func(statement string) error {
			t.Helper()
			_, err := s.DB().ExecContext(t.Context(), statement)
			if err == nil {
				t.Fatalf("%s does not fail", statement)
			}
			return err
		}
		for statement, want := range map[string]bool{
			`INSERT INTO facts (name, value) VALUES ('x', NULL)`:                      true,
			`INSERT INTO facts (name, value) VALUES ('id', 'twice')`:                  true,
			`INSERT INTO incarnations (identity, epoch) VALUES ('x', 'not a number')`: true,
			`INSERT INTO no_such_table (name) VALUES ('x')`:                           false,
			`INSERT INTO facts (no_such_column) VALUES ('x')`:                         false,
			`this is no statement`:                                                    false,
		} {
			if err := fail(statement); s.Refused(err) != want {
				t.Errorf("%s: %v; refused is %t", statement, err, !want)
			}
		}
		long := message(1, 1, "room.red")
		long.User = random(6000)
		_, _, err := s.Append(t.Context(), []record.Message{message(1, 2, "room.red"), long})
		if s.Kind() == "postgres" && (!errors.Is(err, record.ErrRefused) || !strings.Contains(err.Error(), "index row size")) {
			t.Errorf("a user id of 6 KB: %v; want ErrRefused", err)
		}
		if s.Kind() == "sqlite" && err != nil {
			t.Errorf("a user id of 6 KB: %v", err) // its keys may have any length
		}
		if _, err := s.DB().ExecContext(t.Context(), `DROP TABLE words`); err != nil {
			t.Fatal(err)
		}
		wordy := message(1, 3, "room.red")
		wordy.Event = []byte(`["m","words"]`)
		if _, _, err := s.Append(t.Context(), []record.Message{wordy}); err == nil || errors.Is(err, record.ErrRefused) {
			t.Errorf("without a table: %v; want an error that may pass", err)
		}
	})
}

// random is a string that does not get smaller when it is compressed.
func random(n int) string {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = 'A' + byte(x%58)
	}
	return string(b)
}
