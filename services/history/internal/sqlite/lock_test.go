package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// childDatabase names the file that a process of its own opens, until it is killed.
const childDatabase = "NATTER_TEST_SQLITE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childDatabase); path != "" {
		if _, err := Open(context.Background(), path, SyncFull); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("open")
		select {}
	}
	goleak.VerifyTestMain(m)
}

// inUse checks that the file cannot be opened a second time, and that the error says which it is.
func inUse(t *testing.T, path string) {
	t.Helper()
	s, err := Open(t.Context(), path, SyncNormal)
	if err == nil {
		t.Error("opened a second time")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, ErrInUse) || IsBusy(err) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open = %v; want an error that names the file", err)
	}
}

// TestAFileIsForOneInstance opens a file again by its own name and by another, and reads it as a backup does.
func TestAFileIsForOneInstance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "history.db")
	s := open1(t, path)
	inUse(t, path)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	inUse(t, link)
	reader, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, copied := range []string{"first.db", "second.db"} {
		if _, err := reader.Exec("VACUUM INTO ?", filepath.Join(dir, copied)); err != nil {
			t.Errorf("a backup beside the service: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if again := open1(t, link); again.ID() != s.ID() || s.ID() == "" {
		t.Errorf("the database is %q and %q", s.ID(), again.ID())
	}
}

// TestAKilledInstanceLeavesNoLock has the file open in a process that is killed with SIGKILL.
func TestAKilledInstanceLeavesNoLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.db")
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), childDatabase+"="+path)
	other.Stderr = os.Stderr
	output, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err == nil {
		inUse(t, path)
	}
	if kerr := other.Process.Kill(); kerr != nil || err != nil || line != "open\n" {
		t.Fatalf("the other process said %q, %v, %v", line, err, kerr)
	}
	_ = other.Wait() // it was killed
	open1(t, path)
}
