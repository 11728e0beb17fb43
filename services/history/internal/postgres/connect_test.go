package postgres

import (
	"net"
	"net/url"
	"strings"
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
	through := pgtest.Through(t, there.String()).Address
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
