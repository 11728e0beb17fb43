package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/engineio"
)

// elsewhere is a Carrier that answers with the name, or fails.
type elsewhere struct{ err error }

func (e elsewhere) Carry(w http.ResponseWriter, r *http.Request, name string) error {
	if e.err == nil {
		io.WriteString(w, "carried to "+name)
	}
	return e.err
}

// CarryStream answers the client with the name and the request.
func (e elsewhere) CarryStream(conn net.Conn, r *http.Request, name string) error {
	if e.err == nil {
		q := r.URL.Query()
		says := fmt.Appendf(nil, "%s %s %s %s", name, q.Get("sid"), r.Header.Get("Upgrade"), r.Header.Get("X"))
		conn.Write(engineio.AppendStream(nil, engineio.Packet{Type: engineio.Message, Data: says}))
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	return e.err
}

const secret = "AAAAAAAAAAAAAAAAAAAA"

func TestASessionIDNamesItsServer(t *testing.T) {
	s := newServer(t, Options{Name: "g-1_A"})
	c := s.eio.register(&Request{})
	name, rest, _ := strings.Cut(c.ID(), ".")
	if name != "g-1_A" || len(rest) != idLength {
		t.Fatalf("id %q", c.ID())
	}
	if log := c.LogID(); strings.Contains(log, rest[:5]) || !strings.HasPrefix(log, "g-1_A."+rest[:4]) {
		t.Fatalf("%q is logged of %q", log, c.ID())
	}
	c.adopt(nil)
	for id, want := range map[string]string{
		"b." + secret: "b", "B-_9." + secret: "B-_9", strings.Repeat("x", maxName) + "." + secret: strings.Repeat("x", maxName),
		c.ID(): "", "": "", ".": "", secret: "", "." + secret: "", "b." + secret + "A": "", "b." + secret[1:]: "", "b.c." + secret[2:]: "",
		"b>." + secret: "", "*." + secret: "", "b." + secret[1:] + " ": "", "é." + secret: "", strings.Repeat("x", maxName+1) + "." + secret: "",
	} {
		if got := s.eio.holder(id); got != want {
			t.Errorf("%q is held by %q, want %q", id, got, want)
		}
	}
	for _, o := range []Options{{Name: "a.b"}, {Name: "a b"}, {Name: strings.Repeat("x", maxName+1)}, {Carrier: elsewhere{}}} {
		if err := o.Validate(); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestWhatIsCarried is a request for another server's session that passes all checks before that of the session.
func TestWhatIsCarried(t *testing.T) {
	unknown := func(w *httptest.ResponseRecorder) bool {
		return w.Code == 400 && w.Body.String() == string(engineio.AppendError(nil, engineio.SessionUnknown, ""))
	}
	carried := func(w *httptest.ResponseRecorder) bool { return w.Code == 200 && w.Body.String() == "carried to b" }
	code := func(code engineio.Code) func(*httptest.ResponseRecorder) bool {
		return func(w *httptest.ResponseRecorder) bool {
			return w.Body.String() == string(engineio.AppendError(nil, code, ""))
		}
	}
	for _, c := range []struct {
		name, method, query string
		err                 error
		carried             bool // the request came from another server
		want                func(*httptest.ResponseRecorder) bool
	}{
		{"GET", "GET", "transport=polling&EIO=4&sid=b." + secret, nil, false, carried},
		{"POST", "POST", "transport=polling&EIO=4&sid=b." + secret, nil, false, carried},
		{"its server checks the rest", "PUT", "transport=polling&sid=b." + secret, nil, false, carried},
		{"unknown transport", "GET", "transport=pigeon&EIO=4&sid=b." + secret, nil, false, code(engineio.TransportUnknown)},
		{"own session", "GET", "transport=polling&EIO=4&sid=a." + secret, nil, false, unknown},
		{"no server's session", "GET", "transport=polling&EIO=4&sid=" + secret, nil, false, unknown},
		{"server gone", "GET", "transport=polling&EIO=4&sid=b." + secret, fmt.Errorf("test: %w", ErrNoHolder), false, unknown},
		{"cannot carry", "GET", "transport=polling&EIO=4&sid=b." + secret, fmt.Errorf("test: %w", ErrCannotCarry), false,
			func(w *httptest.ResponseRecorder) bool { return w.Code == 503 && w.Header().Get("Retry-After") != "" }},
		{"carried here by mistake", "GET", "transport=polling&EIO=4&sid=b." + secret, nil, true, unknown},
		{"a handshake carried here", "GET", "transport=polling&EIO=4", nil, true, code(engineio.BadRequest)},
	} {
		s := newServer(t, Options{Name: "a", Carrier: elsewhere{c.err}})
		w, r := httptest.NewRecorder(), httptest.NewRequest(c.method, "/socket.io/?"+c.query, nil)
		if c.carried {
			s.eio.ServeCarried(w, r)
		} else {
			s.eio.ServeHTTP(w, r)
		}
		if !c.want(w) {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
}
