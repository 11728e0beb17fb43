package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/record"
)

// patience bounds every wait.
const patience = 30 * time.Second

// TestAnAbandonedTransactionEnds has an instance stop in the middle of a transaction: PostgreSQL hears nothing more of it, and
// cannot tell it from one whose machine has died.
func TestAnAbandonedTransactionEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	url := pgtest.New(t)
	stopped := opened(t)(open(ctx, url, "", time.Second))
	other := opened(t)(Open(ctx, url, ""))
	batch := []record.Message{said(1), said(2)}
	if _, _, err := other.Append(ctx, []record.Message{said(3)}); err != nil {
		t.Fatal(err)
	}
	tx, err := stopped.DB().BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // the server has
	if _, err := tx.Exec(dialect.Shared); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`INSERT INTO messages (epoch, sequence, namespace, socket, author, name, time, payload, lengths, redacted, copied)
		VALUES (1, 1, '_', '', '', '', 0, '', '', FALSE, 0)`); err != nil {
		t.Fatal(err)
	}
	if n, _, err := other.Append(ctx, batch); err != nil || n != len(batch) {
		t.Errorf("stored %d of the stopped instance's batch: %v", n, err)
	}
	if _, err := other.Change(ctx, record.Change{Place: record.Place{Namespace: "_", Target: "room.red"}, ID: record.ID{Epoch: 1, Sequence: 3},
		By: record.By{User: "u"}, Action: record.Edit, Value: []byte(`"x"`)}); err != nil {
		t.Error(err)
	}
}

// TestSessionsHaveTheirSettings looks at those that a connection over a unix socket has, too.
func TestSessionsHaveTheirSettings(t *testing.T) {
	s := opened(t)(Open(t.Context(), pgtest.New(t)+"&enable_seqscan=on", ""))
	for name, want := range map[string]string{
		"idle_in_transaction_session_timeout": "15s",
		"client_connection_check_interval":    "6s",
		"plan_cache_mode":                     "force_custom_plan",
		"enable_seqscan":                      "on",
		"jit":                                 "off",
		"application_name":                    "natter-history",
	} {
		var got string
		if err := s.DB().QueryRow("SHOW " + name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", name, got, err, want)
		}
	}
}

// TestASettingThatIsRefusedIsPassedOver has settings as servers refuse them on some systems, or in earlier versions.
func TestASettingThatIsRefusedIsPassedOver(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // the server ends with the tests
	err = prepare(map[string]string{"client_connection_check_interval": "-1", "of_a_later_version": "on", "jit": "off", "enable_seqscan": "off"})(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jit", "enable_seqscan"} {
		var got string
		if err := conn.QueryRow(t.Context(), "SHOW "+name).Scan(&got); err != nil || got != "off" {
			t.Errorf("%s is %s, %v", name, got, err)
		}
	}
}

// TestSilentConnectionsAreGivenUp asks over connections of the pool that lead to nowhere.
func TestSilentConnectionsAreGivenUp(t *testing.T) {
	link := pgtest.Through(t, pgtest.New(t))
	s := opened(t)(Open(t.Context(), link.URL, ""))
	s.TxWait, s.ReadWait = time.Second, time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, _, err := s.Append(ctx, []record.Message{said(1)}); err != nil {
		t.Fatal(err)
	}
	link.Hang()
	calls := map[string]func() error{
		"Announcements": func() error { return s.Announcements(ctx, func(record.Announcement) bool { return true }) },
		"Erase":         func() error { _, err := s.Erase(ctx, "u", time.Now()); return err },
		"Announced":     func() error { return s.Announced(ctx, record.Announcement{}) },
		"Undone":        func() error { _, err := s.Undone(ctx); return err },
		"Redact":        func() error { _, err := s.Redact(ctx, "u", time.Now()); return err },
		"Deletions":     func() error { return s.Deletions(ctx, []record.Deletion{{ID: record.ID{Epoch: 1, Sequence: 1}}}) },
		"NextPlace":     func() error { _, _, err := s.NextPlace(ctx, record.Place{}); return err },
		"Sweep":         func() error { _, err := s.Sweep(ctx, record.Place{}, time.Now()); return err },
		"Fact":          func() error { _, err := s.Fact(ctx, "x"); return err },
		"NoteFact":      func() error { _, err := s.NoteFact(ctx, "x", "", "y"); return err },
		"Newest":        func() error { _, err := s.Newest(ctx, 1); return err },
		"Incarnations":  func() error { _, err := s.Incarnations(ctx, "x"); return err },
	}
	var asking sync.WaitGroup
	for name, call := range calls {
		asking.Go(func() {
			if err := call(); !IsAway(err) || ctx.Err() != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	asking.Wait()
	link.Mend()
	s.TxWait, s.ReadWait = patience, patience
	for name, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s, when the link is mended: %v", name, err)
		}
	}
}

func said(sequence int64) record.Message {
	return record.Message{ID: record.ID{Epoch: 1, Sequence: sequence}, Namespace: "_", Targets: []string{"room.red"}, User: "u",
		Time: time.Now(), Copied: time.Now(), Event: []byte(`["m","hello"]`)}
}

// opened fails the test if the store could not be opened, and closes it in the end.
func opened(t *testing.T) func(*database.Store, error) *database.Store {
	return func(s *database.Store, err error) *database.Store {
		t.Helper()
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
}
