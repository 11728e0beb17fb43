package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	path := filepath.Join(t.TempDir(), "history.db")
	open1(t, path)
	second := open1(t, path)
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
	if _, _, err := second.Append(t.Context(), message); !IsBusy(err) {
		t.Errorf("Append = %v; want a busy error", err)
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
	if stored, _, err := second.Append(t.Context(), message); err != nil || stored != 1 {
		t.Errorf("stored %d, %v", stored, err)
	}
}
