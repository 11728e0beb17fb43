package gatewayd_test

import (
	"fmt"
	"io"
	"net"

	"github.com/natter-io/natter/pkg/engineio"
)

// streamConn is the stream of a WebTransport session, of which Close ends all: the player begins a new one each time.
type streamConn struct{ *streamLink }

func (c streamConn) Read(b []byte) (int, error)  { return c.Stream.Read(b) }
func (c streamConn) Write(b []byte) (int, error) { return c.Stream.Write(b) }
func (c streamConn) LocalAddr() net.Addr         { return c.session.LocalAddr() }
func (c streamConn) RemoteAddr() net.Addr        { return c.session.RemoteAddr() }
func (c streamConn) Close() error                { return c.quic.CloseWithError(0, "") }

// open opens a stream at the gateway of a step. Those after the first two serve none.
func (p *player) open(st step) error {
	if st.at > 1 {
		return errNoWS
	}
	link, err := dialStream(p.addresses[st.at], p.trusted)
	if err != nil {
		return fmt.Errorf("%w: %w", errSilence, err)
	}
	p.mu.Lock()
	p.stream = streamConn{link}
	p.conns = append(p.conns, p.stream)
	p.mu.Unlock()
	p.reading.Go(func() { p.listen(link) })
	return nil
}

// say sends a packet over the newest stream.
func (p *player) say(st step) error {
	p.mu.Lock()
	conn := p.stream
	p.mu.Unlock()
	if conn == nil {
		return errNoWS
	}
	if st.data == "5" {
		p.polling = false
	}
	data, binary := p.spell(st)
	return write(conn, packet(data, binary, st.fault), st.fault)
}

// listen takes what a stream brings, until its end.
func (p *player) listen(link *streamLink) {
	for {
		binary, n, err := engineio.ReadStreamHeader(link.Stream, 1<<30)
		if err == nil {
			data := make([]byte, n)
			if _, err = io.ReadFull(link.Stream, data); err == nil && !binary {
				p.take(string(data))
			}
		}
		if err != nil {
			p.take(fmt.Sprintf("(the stream ended: %v)", err))
			return
		}
	}
}
