package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

func open1(t *testing.T, path string) *database.Store {
	t.Helper()
	s, err := Open(context.Background(), path, SyncNormal)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestBusy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.db")
	s := open1(t, path)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	message := []record.Message{{ID: record.ID{Epoch: 1, Sequence: 1}, Namespace: "_", Time: time.Unix(1, 0), Event: []byte(`["m"]`)}}
	if _, _, err := s.Append(t.Context(), message); !IsBusy(err) {
		t.Errorf("Append = %v; want a busy error", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(t.Context(), path, SyncNormal); !IsBusy(err) {
		t.Errorf("Open = %v; want a busy error", err)
	}
	if IsBusy(nil) || IsBusy(sql.ErrNoRows) {
		t.Error("other errors are busy errors")
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if stored, _, err := open1(t, path).Append(t.Context(), message); err != nil || stored != 1 {
		t.Errorf("stored %d, %v", stored, err)
	}
}
