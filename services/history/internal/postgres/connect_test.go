package postgres

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/natter-io/natter/services/history/internal/pgtest"
)

// TestWhyAConnectionFailed leaves sslmode to its default, with which every attempt is made twice.
func TestWhyAConnectionFailed(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	there, err := url.Parse(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	through := forward(t, filepath.Join(there.Query().Get("host"), ".s.PGSQL.5432"))
	user := there.Query().Get("user")
	for _, c := range []struct {
		address string
		want    string
		away    bool
	}{
		{nobody.Addr().String(), "cannot connect to PostgreSQL as " + user + ": dial tcp " + nobody.Addr().String() + ": connect: connection refused", true},
		{through, `cannot connect to PostgreSQL as ` + user + `: FATAL: database "nowhere" does not exist (SQLSTATE 3D000)`, false},
	} {
		s, err := Open(t.Context(), "postgres://"+user+"@"+c.address+"/nowhere", "")
		if err == nil {
			t.Fatal("opened", s.Close())
		}
		if !strings.HasSuffix(err.Error(), c.want) || IsAway(err) != c.away {
			t.Errorf("%v, may pass: %t; want %s, %t", err, IsAway(err), c.want, c.away)
		}
	}
}

// forward lets TCP connections reach a server that listens on a unix socket, and says where.
func forward(t *testing.T, socket string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close() // ends Accept
		running.Wait()
	})
	running.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", socket)
			if err != nil {
				t.Error(err)
				_ = from.Close()
				return
			}
			for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
				running.Go(func() {
					_, _ = io.Copy(pair[0], pair[1]) // until either end closes
					_, _ = pair[0].Close(), pair[1].Close()
				})
			}
		}
	})
	return l.Addr().String()
}
