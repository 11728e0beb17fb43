package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/services/history/internal/pgtest"
)

func TestMain(m *testing.M) {
	os.Exit(pgtest.Run(m, func() error { return goleak.Find() }))
}

// TestInstancesStartAtOnce has several make the tables of one empty database.
func TestInstancesStartAtOnce(t *testing.T) {
	url := pgtest.New(t)
	var starting sync.WaitGroup
	ids := make([]string, 6)
	for i := range ids {
		starting.Go(func() {
			s, err := Open(context.Background(), url, "")
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.ID()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Errorf("one database has the ids %q", ids)
		}
	}
}

func TestWhatMayPass(t *testing.T) {
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	url := server.Database(t)
	server.Kill()
	if _, err := Open(t.Context(), url, "secret word"); !IsAway(err) || strings.Contains(err.Error(), "secret word") {
		t.Errorf("a server that is down: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	for err, want := range map[error]bool{
		fmt.Errorf("x: %w", &pgconn.PgError{Code: "57P03"}): true,  // it starts
		&pgconn.PgError{Code: "53300"}:                      true,  // too many connections
		&pgconn.PgError{Code: "40P01"}:                      true,  // deadlock
		&pgconn.PgError{Code: "28P01"}:                      false, // password
		&pgconn.PgError{Code: "3D000"}:                      false, // no such database
		&pgconn.PgError{Code: "42501"}:                      false, // may not make tables
		context.DeadlineExceeded:                            true,
		fmt.Errorf("x: %w", io.ErrUnexpectedEOF):            true,
		errors.New("something else"):                        false,
	} {
		if got := IsAway(err); got != want {
			t.Errorf("%v: %t; want %t", err, got, want)
		}
	}
}
