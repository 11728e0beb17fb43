package gatewayd_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/pkg/socketio"
)

// link carries Engine.IO packets; read fails when the connection has ended.
type link interface {
	read() ([]engineio.Packet, error)
	write(engineio.Packet) error
	close()
}

// wsLink is a WebSocket.
type wsLink struct {
	conn *ws.Conn
	mu   sync.Mutex // writes
}

func (l *wsLink) read() ([]engineio.Packet, error) {
	kind, data, err := l.conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	if kind == ws.BinaryMessage {
		return []engineio.Packet{{Type: engineio.Message, Binary: true, Data: data}}, nil
	}
	p, err := engineio.Decode(data)
	return []engineio.Packet{p}, err
}

func (l *wsLink) write(p engineio.Packet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := ws.TextMessage
	if p.Binary {
		kind = ws.BinaryMessage
	}
	return l.conn.WriteMessage(kind, engineio.Append(nil, p))
}

func (l *wsLink) close() { l.conn.Close() }

// pollLink is HTTP long-polling.
type pollLink struct {
	url  string
	mu   sync.Mutex // one POST at a time
	gone atomic.Bool
}

// browser makes requests over connections that are not kept.
var browser = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (l *pollLink) request(method string, body []byte) ([]byte, error) {
	req, err := http.NewRequest(method, l.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s", res.Status, data)
	}
	return data, err
}

func (l *pollLink) read() ([]engineio.Packet, error) {
	if l.gone.Load() {
		return nil, io.EOF
	}
	data, err := l.request("GET", nil)
	if err != nil {
		return nil, err
	}
	var packets []engineio.Packet
	for p, err := range engineio.Packets(data, engineio.DefaultMaxPackets) {
		if err != nil {
			return nil, err
		}
		p.Data = bytes.Clone(p.Data)
		packets = append(packets, p)
		if p.Type == engineio.Close {
			l.gone.Store(true)
		}
	}
	return packets, nil
}

func (l *pollLink) write(p engineio.Packet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.request("POST", engineio.AppendPayload(nil, p))
	return err
}

func (l *pollLink) close() {
	_ = l.write(engineio.Packet{Type: engineio.Close}) // gone already if this fails
	l.gone.Store(true)
}

// client is a connection; its sockets are in namespaces.
type client struct {
	t    testing.TB
	g    *gateway
	link link
	over chan struct{} // closed when the connection has ended

	mu      sync.Mutex
	sockets map[string]*socket
}

func (g *gateway) url(scheme, path string) string {
	address := g.mounted
	if address == "" {
		address = g.Addr().String()
	}
	return scheme + "://" + address + path
}

const engineQuery = "/socket.io/?EIO=4&transport="

// dial opens a WebSocket connection that is in no namespace yet.
func (g *gateway) dial() *client {
	g.t.Helper()
	conn, res, err := ws.DefaultDialer.Dial(g.url("ws", engineQuery+"websocket"), nil)
	if err != nil {
		g.t.Fatalf("dial: %v %v", err, res)
	}
	c := g.client(&wsLink{conn: conn})
	open, err := c.link.read()
	if err != nil || open[0].Type != engineio.Open {
		g.t.Fatalf("open: %v %v", open, err)
	}
	c.run()
	return c
}

// poll opens a long-polling connection that is in no namespace yet.
func (g *gateway) poll() *client {
	g.t.Helper()
	l := &pollLink{url: g.url("http", engineQuery+"polling")}
	packets, err := l.read()
	if err != nil {
		g.t.Fatalf("open: %v", err)
	}
	h, err := engineio.DecodeOpen(packets[0].Data)
	if err != nil {
		g.t.Fatalf("open: %v", err)
	}
	l.url += "&sid=" + h.SID
	c := g.client(l)
	c.run()
	return c
}

func (g *gateway) client(l link) *client {
	if g.msgpack {
		l = newMsgpackLink(l)
	}
	return &client{t: g.t, g: g, link: l, over: make(chan struct{}), sockets: make(map[string]*socket)}
}

// run reads until the connection ends, which the test waits for in the end.
func (c *client) run() {
	go c.read()
	c.t.Cleanup(c.close)
}

func (c *client) close() {
	c.link.close()
	<-c.over
}

func (c *client) read() {
	defer close(c.over)
	d := socketio.Decoder{FromServer: true}
	for {
		packets, err := c.link.read()
		for _, p := range packets {
			if err == nil {
				err = c.packet(&d, p)
			}
		}
		if err != nil {
			c.link.close()
			return
		}
	}
}

func (c *client) packet(d *socketio.Decoder, p engineio.Packet) error {
	switch p.Type {
	case engineio.Ping:
		return c.link.write(engineio.Packet{Type: engineio.Pong, Data: p.Data})
	case engineio.Close:
		return io.EOF
	case engineio.Message:
	default:
		return nil
	}
	var packet *socketio.Packet
	var err error
	if p.Binary {
		packet, err = d.Binary(p.Data)
	} else {
		packet, err = d.Text(p.Data)
	}
	if err != nil {
		c.t.Errorf("the gateway sent %q: %v", p.Data, err)
		return err
	}
	if packet != nil {
		c.dispatch(packet)
	}
	return nil
}

func (c *client) dispatch(p *socketio.Packet) {
	c.mu.Lock()
	s := c.sockets[p.Namespace]
	c.mu.Unlock()
	if s == nil {
		c.t.Errorf("the gateway sent a packet for %s", p.Namespace)
		return
	}
	switch p.Type {
	case socketio.Connect, socketio.ConnectError:
		s.entry <- string(p.Data)
	case socketio.Event, socketio.BinaryEvent:
		s.events <- s.incoming(p)
	case socketio.Disconnect:
		close(s.out)
	case socketio.Ack, socketio.BinaryAck:
		s.ackMu.Lock()
		ch := s.acks[p.ID]
		delete(s.acks, p.ID)
		s.ackMu.Unlock()
		if ch == nil {
			c.t.Errorf("the gateway sent an ack %d that nobody waits for: %s", p.ID, p.Data)
			return
		}
		ch <- p
	}
}

// send writes a Socket.IO text packet as it stands.
func (c *client) send(text string) {
	c.t.Helper()
	if err := c.link.write(engineio.Packet{Type: engineio.Message, Data: []byte(text)}); err != nil {
		c.t.Fatalf("send %.80q: %v", text, err)
	}
}

// raw writes a WebSocket text frame as it stands.
func (c *client) raw(text string) {
	c.t.Helper()
	l := c.link.(*wsLink)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.conn.WriteMessage(ws.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) sendBinary(data []byte) {
	c.t.Helper()
	if err := c.link.write(engineio.Packet{Type: engineio.Message, Binary: true, Data: data}); err != nil {
		c.t.Fatal(err)
	}
}

// wantOver waits for the connection's end.
func (c *client) wantOver() {
	c.t.Helper()
	select {
	case <-c.over:
	case <-time.After(patience):
		c.t.Fatal("the connection does not end")
	}
}
