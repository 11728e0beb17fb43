//go:build unix

// Package pgtest runs a real PostgreSQL server for tests: a private cluster in a folder of its own, reached over a
// unix socket alone.
//
// It needs the programs of the Debian package postgresql. As root it runs them as the user nobody, since PostgreSQL
// refuses to run as root.
package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Missing says what to do where there is no PostgreSQL.
const Missing = "the tests need PostgreSQL: sudo apt-get install -y postgresql"

const (
	superuser = "natter"
	stopWait  = 30 * time.Second
)

// Server is a running cluster. Make it with [Start].
type Server struct {
	dir, bin   string
	owner      *syscall.Credential
	process    *exec.Cmd
	ended      chan struct{}
	databases  atomic.Int64
	logMessage bytes.Buffer
}

// Run runs a package's tests with one cluster for all of them, which [New] uses: call it in TestMain.
func Run(m *testing.M, check func() error) (code int) {
	s, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared = s
	defer func() {
		if err := errors.Join(s.Close(), check()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}()
	return m.Run()
}

var shared *Server

// New is the connection string of an empty database, in the cluster that [Run] has started.
func New(t testing.TB) string {
	t.Helper()
	return shared.Database(t)
}

// Start makes a cluster and starts it.
func Start() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	// Not a test's own folder: the path of a unix socket has 107 bytes at most.
	dir, err := os.MkdirTemp("", "natter-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if os.Getuid() == 0 {
		if s.owner, err = nobody(); err == nil {
			err = os.Chown(dir, int(s.owner.Uid), int(s.owner.Gid))
		}
	}
	if err == nil {
		err = s.command("initdb", "-D", s.data(), "-U", superuser, "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync", "--no-instructions").Run()
	}
	if err == nil {
		err = s.Launch()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("PostgreSQL: %w\n%s", err, s.logMessage.String()), os.RemoveAll(dir))
	}
	return s, nil
}

// programs is the folder of the newest PostgreSQL that is installed.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New(Missing)
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func nobody() (*syscall.Credential, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + s.bin, "HOME=" + s.dir, "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = &s.logMessage, &s.logMessage
	cmd.SysProcAttr = attributes(s.owner)
	return cmd
}

// Launch starts the server, after [Server.Kill] again, and waits until it accepts connections.
func (s *Server) Launch() error {
	s.logMessage.Reset()
	s.process = s.command("postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	if err := s.process.Start(); err != nil {
		return err
	}
	process, ended := s.process, make(chan struct{})
	s.ended = ended
	go func() {
		_ = process.Wait() // how it ended is not of interest
		close(ended)
	}()
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for end := time.Now().Add(stopWait); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := db.PingContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errors.New("the server ended at once")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// URL is the connection string of a database.
func (s *Server) URL(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {superuser}, "sslmode": {"disable"}}.Encode()
}

var creating sync.Mutex

// Database makes an empty database and returns its connection string.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	creating.Lock() // two at once would refuse each other the template
	defer creating.Unlock()
	name := "test" + strconv.FormatInt(s.databases.Add(1), 10)
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// Kill ends the server as a crash does: at once, with all its processes.
func (s *Server) Kill() {
	// Immediate shutdown: the server's processes end without a word, and recovery runs at the next start.
	_ = s.process.Process.Signal(syscall.SIGQUIT)
	<-s.ended
}

// Freeze stops every process of the server from running, until [Server.Thaw].
func (s *Server) Freeze() error { return signalAll(s.process.Process.Pid, syscall.SIGSTOP) }

// Thaw lets the processes run again.
func (s *Server) Thaw() error { return signalAll(s.process.Process.Pid, syscall.SIGCONT) }

// signalAll signals a process and its children: each of PostgreSQL's is the leader of a session of its own.
func signalAll(pid int, signal syscall.Signal) error {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return err
	}
	for _, field := range bytes.Fields(children) {
		child, err := strconv.Atoi(string(field))
		if err != nil {
			return err
		}
		if err := syscall.Kill(child, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Close ends the server and removes its folder.
func (s *Server) Close() error {
	s.Kill()
	return os.RemoveAll(s.dir)
}
