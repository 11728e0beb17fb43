package postgres

import (
	"database/sql"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestADatabaseOfTheFirstVersionIsBroughtUpToDate makes one with its own statements: more messages than are indexed at once.
func TestADatabaseOfTheFirstVersionIsBroughtUpToDate(t *testing.T) {
	url := pgtest.New(t)
	first, err := fs.ReadFile(migrations, "migrations/00001_history.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, fstest.MapFS{"00001_history.sql": {Data: first}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO messages (epoch, sequence, namespace, socket, author, name, time, payload, lengths, redacted)
			SELECT 5, i, '_', 's', 'u1', 'n', i, convert_to('["m","ΣΊΣΥΦΟΣ ' || i || '"]', 'UTF8'), '', i = 7 FROM generate_series(1, 2500) AS t(i)`,
		`INSERT INTO places (namespace, target, epoch, sequence, message) SELECT '_', 'room.red', epoch, sequence, id FROM messages`,
		`INSERT INTO words (message, words) SELECT id, array_to_tsvector(ARRAY['@n5f', 'σίσυφος']) FROM messages`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s, err := Open(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	index(t, s)
	for text, want := range map[string]int{"σίσυφος": 2499, "σίσυφος 1": 1, "7": 0} {
		found := 0
		if err := s.Search(t.Context(), "_", []string{"room.red"}, record.ParseWords(text), record.Newest, 100, func(record.Message) bool { found++; return true }); err != nil || found != want {
			t.Errorf("%s: %d found, want %d: %v", text, found, want, err)
		}
	}
	var left int
	if err := s.DB().QueryRow(`SELECT count(*) FROM facts WHERE name = 'unindexed'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d facts are left, %v", left, err)
	}

	// An instance of the first version has stored words since they were taken out.
	if _, err := s.DB().Exec(`INSERT INTO facts (name, value) SELECT 'unindexed', CAST(max(id) AS TEXT) FROM messages`); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	index(t, again)
	if err := again.Close(); err != nil {
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
