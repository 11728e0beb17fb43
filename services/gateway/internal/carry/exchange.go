package carry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"time"

	ws "github.com/gorilla/websocket"
)

// writeTimeout is how long a client may take for what one frame holds.
const writeTimeout = 30 * time.Second

var errSwitched = errors.New("carry: the answer switches protocols, which was not asked for")

// exchange sends the request over the stream and answers with what comes back. An error means that nothing
// was answered; an answer that breaks off ends the client's connection.
func (c *Carrier) exchange(w http.ResponseWriter, r *http.Request, s *stream) error {
	// A client that goes away breaks the stream: that closes a session, as an aborted poll does.
	stay := context.AfterFunc(r.Context(), s.abort)
	defer stay()
	upgrade := ws.IsWebSocketUpgrade(r)
	rc := http.NewResponseController(w)
	sent := make(chan error, 1)
	send := func() {
		err := write(r, s, upgrade)
		if err != nil {
			s.abort()
		}
		sent <- err
	}
	hasBody := r.Body != nil && r.Body != http.NoBody
	if hasBody {
		go send()
	} else {
		send()
	}
	in := bufio.NewReaderSize(s, 4<<10)
	res, err := http.ReadResponse(in, r)
	if hasBody && (err != nil || res.StatusCode >= http.StatusBadRequest) {
		// Nobody reads the rest of the body. The client's connection is of no more use then, and to the
		// HTTP server it looks as if the client had gone away.
		stay()
		_ = rc.SetReadDeadline(time.Now()) // fails if the connection is gone
		w.Header().Set("Connection", "close")
	}
	if err != nil {
		s.abort()
		failed := <-sent
		return s.cause(fmt.Errorf("%w: %w", errBroken, errors.Join(err, failed)))
	}
	defer res.Body.Close() //nolint:errcheck // the stream's errors are seen when it is read
	if res.StatusCode == http.StatusSwitchingProtocols {
		if !upgrade {
			return errSwitched
		}
		<-sent
		return c.tunnel(rc, res, s, in)
	}
	err = answer(w, rc, res)
	_ = s.Close() // fails if it is broken
	<-sent
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// write writes the request as the client sent it, but for what concerns the network connection.
func write(r *http.Request, s *stream, upgrade bool) error {
	out := r.WithContext(context.WithoutCancel(r.Context()))
	out.Header = maps.Clone(r.Header)
	out.Header.Del("Expect") // answered by the server that read the request
	if _, named := out.Header["User-Agent"]; !named {
		out.Header["User-Agent"] = nil // or one is made up
	}
	if !upgrade {
		out.Header.Del("Connection")
		out.Close = true
	}
	b := bufio.NewWriterSize(s, 4<<10)
	if err := out.Write(b); err != nil {
		return err
	}
	return b.Flush()
}

// answer writes the answer for the client.
func answer(w http.ResponseWriter, rc *http.ResponseController, res *http.Response) error {
	res.Header.Del("Connection") // of the stream
	maps.Copy(w.Header(), res.Header)
	_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails if the connection is gone
	w.WriteHeader(res.StatusCode)
	_, err := io.Copy(w, res.Body)
	if err == nil {
		err = rc.Flush()
	}
	_ = rc.SetWriteDeadline(time.Time{})
	return err
}

// tunnel makes the client's connection and the stream one.
func (c *Carrier) tunnel(rc *http.ResponseController, res *http.Response, s *stream, in *bufio.Reader) error {
	conn, client, err := rc.Hijack()
	if err != nil {
		return fmt.Errorf("taking over the client's connection: %w", err)
	}
	defer conn.Close()                //nolint:errcheck // it may be closed already
	_ = conn.SetDeadline(time.Time{}) // reads and writes below fail if this does
	slow := &slowClient{Conn: conn}
	res.Body = nil
	if err := res.Write(slow); err != nil {
		return nil // the client is gone, and the stream is broken by the caller
	}
	// Not from client itself, which would keep a buffer of its own in between for ever.
	early, _ := client.Reader.Peek(client.Reader.Buffered()) // that many are there
	c.join(conn, early, s, in)
	return nil
}

// slowClient bounds how long each write may take.
type slowClient struct{ net.Conn }

func (c *slowClient) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
