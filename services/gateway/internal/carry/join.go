package carry

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// CarryStream implements [transport.Carrier]. The request goes ahead of what the client says on conn, and as soon as
// the other gateway has switched protocols the two are one connection.
func (c *Carrier) CarryStream(conn net.Conn, r *http.Request, name string) error {
	return c.carry(r, name, func(s *stream) error {
		if err := write(r, s, true); err != nil {
			return s.cause(fmt.Errorf("%w: %w", errBroken, err))
		}
		in := bufio.NewReaderSize(s, 4<<10)
		res, err := http.ReadResponse(in, r)
		if err != nil {
			return s.cause(fmt.Errorf("%w: %w", errBroken, err))
		}
		defer res.Body.Close() //nolint:errcheck // the stream's errors are seen when it is read
		if res.StatusCode != http.StatusSwitchingProtocols {
			return fmt.Errorf("%w: it answers %s", transport.ErrNoHolder, res.Status)
		}
		c.join(conn, nil, s, in)
		return nil
	})
}

// join makes the client's connection and the stream one until both have ended. What the client has sent early goes
// first.
func (c *Carrier) join(conn net.Conn, early []byte, s *stream, in *bufio.Reader) {
	defer conn.Close() //nolint:errcheck // it may be closed already
	c.opts.Metrics.Tunnels(1)
	defer c.opts.Metrics.Tunnels(-1)
	slow := &slowClient{Conn: conn}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := s.Write(early)
		if err == nil {
			_, err = s.ReadFrom(conn)
		}
		if err == nil {
			_ = s.CloseWrite() // never fails
		} else {
			s.abort()
		}
	})
	wg.Go(func() {
		defer conn.Close() //nolint:errcheck // it may be closed already
		early, _ := in.Peek(in.Buffered())
		_, err := slow.Write(early)
		if err == nil {
			_, err = s.WriteTo(slow)
		}
		if err != nil {
			s.abort()
			return
		}
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // fails if the client is gone
		}
		_ = s.waitOver() // then the client's connection is closed in any case
	})
	wg.Wait()
}
