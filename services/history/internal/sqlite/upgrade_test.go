package sqlite

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestAFileOfTheFirstVersionIsBroughtUpToDate makes one with its own statements, and rows in all its tables.
func TestAFileOfTheFirstVersionIsBroughtUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	first, err := fs.ReadFile(migrations, "migrations/00001_messages.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, fstest.MapFS{"00001_messages.sql": {Data: first}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO messages VALUES (1, 5, 1, '_', 's', 'u1', 'n', 7, CAST('["m","one"]' AS BLOB), '', 0), (2, 5, 2, '_', 's', 'u1', 'n', 8, CAST('["m","to a socket"]' AS BLOB), '', 0)`,
		`INSERT INTO places VALUES ('_', 'room.red', 5, 1, 1)`,
		`INSERT INTO deleted_users VALUES ('gone')`,
		`INSERT INTO announcements VALUES ('_', 'go"ne', 5, 1)`,
		`INSERT INTO incarnations VALUES ('x', 5)`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s := open1(t, path)
	index(t, s)
	var found []string
	err = s.Said(context.Background(), "u1", record.ID{}, 10, func(m record.Message) bool {
		found = append(found, string(m.Event)+" "+m.Targets[0])
		return true
	})
	if err != nil || len(found) != 2 || found[0] != `["m","one"] room.red` || found[1] != `["m","to a socket"] socket` {
		t.Errorf("%q, %v", found, err)
	}
	var named []string
	if err := s.Search(t.Context(), "_", []string{"room.red"}, record.ParseWords("ONE"), record.Newest, 10, func(m record.Message) bool {
		named = append(named, string(m.Event))
		return true
	}); err != nil || len(named) != 1 {
		t.Errorf("a search finds %q, %v", named, err)
	}
	late := record.Message{ID: record.ID{Epoch: 5, Sequence: 3}, Namespace: "_", Targets: []string{"all"}, User: "gone", Time: time.Now(), Event: []byte(`["m","late"]`)}
	if stored, redacted, err := s.Append(t.Context(), []record.Message{late}); err != nil || stored != 1 || redacted != 1 {
		t.Errorf("a deleted user's late message: %d, %d, %v", stored, redacted, err)
	}
	var all []record.Announcement
	err = s.Announcements(t.Context(), func(a record.Announcement) bool { all = append(all, a); return true })
	if err != nil || len(all) != 2 || string(all[0].Event) != `["redacted",{"user":"go\"ne"}]` || all[0].Topic != `redacted:_:go"ne` {
		t.Errorf("%s, %v", all, err)
	}
	if all, err := s.Incarnations(t.Context(), "x"); err != nil || len(all) != 1 || all[0] != (record.Incarnation{Epoch: 5, First: 1}) {
		t.Errorf("incarnations %v, %v", all, err)
	}
	if _, err := s.Change(t.Context(), record.Change{Place: record.Place{Namespace: "_", Target: "room.red"}, ID: record.ID{Epoch: 5, Sequence: 1},
		By: record.By{User: "u1"}, Action: record.Edit, Value: []byte(`"won"`), Time: time.Now()}); err != nil {
		t.Error(err)
	}
}

func index(t *testing.T, s *database.Store) {
	t.Helper()
	for left := int64(1); left > 0; {
		var err error
		if left, err = s.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
