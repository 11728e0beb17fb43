package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Disconnect reasons that arise above the transport, as in Socket.IO.
const (
	ReasonClientDisconnect = "client namespace disconnect"
	ReasonServerDisconnect = "server namespace disconnect"
	ReasonForcedClose      = "forced server close"
)

// Client is one connection with the sockets that it carries, one for each namespace. Locks: a client's is
// taken before its sockets'; neither is held while the backend or the hub is called.
type Client struct {
	srv     *Server
	conn    *transport.Conn
	decoder socketio.Decoder // used by Message alone
	ctx     context.Context  // ends with the connection
	cancel  context.CancelFunc

	mu      sync.Mutex
	sockets map[string]*Socket // by namespace; those still entering too
	entered bool               // whether any socket ever got in
	idle    *time.Timer        // closes a connection that enters no namespace
	closed  bool
}

func newClient(srv *Server, conn *transport.Conn) *Client {
	c := &Client{srv: srv, conn: conn, sockets: make(map[string]*Socket)}
	c.decoder.MaxAttachments = contract.MaxAttachments
	c.decoder.MaxAttachmentBytes = srv.opts.MaxAttachmentBytes
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.idle = time.AfterFunc(srv.opts.ConnectTimeout, c.closeIfIdle)
	return c
}

// closeIfIdle ends a connection that is in no namespace when its time is up.
func (c *Client) closeIfIdle() {
	c.mu.Lock()
	idle := !c.entered && len(c.sockets) == 0
	c.mu.Unlock()
	if idle {
		c.conn.Close(transport.ReasonForcedClose)
	}
}

// Message takes what the client sent.
func (c *Client) Message(data []byte, binary bool) {
	var p *socketio.Packet
	var err error
	if binary {
		p, err = c.decoder.Binary(data)
	} else {
		p, err = c.decoder.Text(data)
	}
	if err == nil && p != nil {
		err = c.packet(p)
	}
	if err != nil {
		c.srv.opts.Metrics.Malformed("parse error")
		c.srv.opts.Log.Debug("closing a connection that violates the protocol", "connection", c.conn.ID()[:4]+"…", "error", err)
		c.conn.Close(transport.ReasonParseError)
	}
}

var (
	errSecondConnect = errors.New("second CONNECT to a namespace")
	errNotConnected  = errors.New("packet for a namespace that the client is not in")
	errNamespaces    = errors.New("too many namespaces on one connection")
	errServerPacket  = errors.New("packet type that only servers send")
)

// packet handles one packet; an error violates the protocol and ends the connection.
func (c *Client) packet(p *socketio.Packet) error {
	if p.Type == socketio.Connect {
		return c.connect(p)
	}
	s := c.socket(p.Namespace)
	if s == nil || !s.connected() {
		// A socket that the server has just disconnected: what was under way is not an offence.
		if c.left(p.Namespace) {
			return nil
		}
		return errNotConnected
	}
	switch p.Type {
	case socketio.Event, socketio.BinaryEvent:
		return s.event(p)
	case socketio.Ack, socketio.BinaryAck:
		s.acked(p)
		return nil
	case socketio.Disconnect:
		s.close(ReasonClientDisconnect)
		return nil
	default:
		return errServerPacket
	}
}

func (c *Client) connect(p *socketio.Packet) error {
	auth := p.Data
	if len(auth) == 0 {
		auth = []byte("{}")
	}
	s := &Socket{client: c, id: c.srv.opts.Gateway + "." + newID(), namespace: p.Namespace}
	s.handshake = handshake(c.conn.Request(), auth)
	s.name = chosenName(auth)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil
	case c.sockets[p.Namespace] != nil:
		return errSecondConnect
	case len(c.sockets) >= c.srv.opts.MaxNamespaces:
		return errNamespaces
	}
	c.sockets[p.Namespace] = s
	go s.enter(c.ctx)
	return nil
}

func (c *Client) socket(namespace string) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sockets[namespace]
}

// left says whether the client was in the namespace once.
func (c *Client) left(namespace string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sockets[namespace]
	return ok && s == nil
}

// drop forgets a socket. once says that packets for it may still be under way.
func (c *Client) drop(s *Socket, once bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.sockets[s.namespace] != s {
		return
	}
	delete(c.sockets, s.namespace)
	_ = once
}

// others says whether the connection carries another socket that is in.
func (c *Client) others(s *Socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.sockets {
		if other != s && other.connected() {
			return true
		}
	}
	return false
}

// Closed ends the sockets of a connection that is gone.
func (c *Client) Closed(reason string) {
	c.cancel()
	c.idle.Stop()
	c.mu.Lock()
	c.closed = true
	sockets := c.sockets
	c.sockets = nil
	c.mu.Unlock()
	for _, s := range sockets {
		s.close(reason)
	}
}
