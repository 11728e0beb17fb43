package session

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Disconnect reasons that arise above the transport, as in Socket.IO.
const (
	ReasonClientDisconnect = "client namespace disconnect"
	ReasonServerDisconnect = "server namespace disconnect"
	ReasonForcedClose      = "forced server close"
)

// Client is one connection with the sockets that it carries, one for each namespace. Locks: a client's is
// taken before its sockets' mu; neither is held while the backend or the hub is called.
type Client struct {
	srv     *Server
	conn    *transport.Conn
	decoder parser.Decoder  // used by Message alone
	mainID  string          // id of the socket that is made next; "": draw one
	ctx     context.Context // ends with the connection
	cancel  context.CancelFunc
	since   time.Time // when the connection came

	mu      sync.Mutex
	sockets map[string]*Socket  // by namespace; those still entering too
	gone    map[string]struct{} // namespaces that the server put the client out of
	entered bool                // whether any socket ever got in
	idle    *time.Timer         // closes a connection that enters no namespace
	closed  bool

	entering sync.WaitGroup // sockets whose enter runs

	costly atomic.Int32 // questions to history that are under way, of those that take long
}

func newClient(srv *Server, conn *transport.Conn) *Client {
	c := &Client{srv: srv, conn: conn, since: time.Now(), sockets: make(map[string]*Socket)}
	c.decoder = srv.opts.Parser.Decoder(parser.Limits{Attachments: contract.MaxAttachments, AttachmentBytes: srv.opts.MaxAttachmentBytes})
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.idle = time.AfterFunc(srv.opts.ConnectTimeout, c.closeIfIdle)
	return c
}

// hasEntered notes that the client is in a namespace: it may leave it and stay connected.
func (c *Client) hasEntered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entered = true
	c.idle.Stop()
}

// closeIfIdleLater gives a client whose CONNECT was refused its time again.
func (c *Client) closeIfIdleLater() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && !c.entered {
		c.idle.Reset(c.srv.opts.ConnectTimeout)
	}
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

// Message takes what the client sent. What lay unread while this process stood still may be what a client said that has gone on
// elsewhere and said more there: it is not taken. A client that is here still comes back, and says again what was not acked.
func (c *Client) Message(data []byte, binary bool) {
	if c.srv.backend.Slept(c.since) {
		c.srv.often("closing a connection: the gateway stood still for longer than a lease, so its client may be elsewhere; if it is not it comes back", "connection", c.conn.LogID())
		c.conn.Close(transport.ReasonForcedClose)
		return
	}
	p, err := c.decoder.Message(data, binary)
	switch {
	case err != nil:
	case p != nil:
		err = c.packet(p)
	case !binary: // the first attachment is still to come, and not worth keeping for whoever is not in
		_, err = c.recipient(c.decoder.Pending().Namespace)
	}
	if err != nil {
		c.srv.opts.Metrics.Malformed("parse error")
		c.srv.opts.Log.Debug("closing a connection that violates the protocol", "connection", c.conn.LogID(), "error", err)
		c.conn.Close(reasonOf(err))
	}
}

// reasonOf is why services hear that a client was disconnected which violated the protocol: as in Socket.IO, a packet
// that cannot be read is "forced close", one that does not fit the state of things "forced server close".
func reasonOf(err error) string {
	for _, state := range []error{errSecondConnect, errNotConnected, errNamespaces, errServerPacket} {
		if errors.Is(err, state) {
			return ReasonForcedClose
		}
	}
	return transport.ReasonForcedClose
}

var (
	errSecondConnect = errors.New("second CONNECT to a namespace")
	errNotConnected  = errors.New("packet for a namespace that the client is not in")
	errNamespaces    = errors.New("too many namespaces on one connection")
	errServerPacket  = errors.New("packet type that only servers send")
)

// packet handles one packet; an error violates the protocol and ends the connection.
func (c *Client) packet(p *socketio.Packet) error {
	switch {
	case p.Type != socketio.Connect:
	case c.speaksV4():
		return c.connectV4(p)
	default:
		return c.connect(p)
	}
	s, err := c.recipient(p.Namespace)
	if s == nil {
		return err
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

// recipient is the socket that a packet is for; nil without an error if the server has just disconnected it,
// so that what was under way is not an offence.
func (c *Client) recipient(namespace string) (*Socket, error) {
	s := c.socket(namespace)
	switch {
	case s != nil && s.connected():
		return s, nil
	case c.left(namespace):
		return nil, nil
	}
	return nil, errNotConnected
}

func (c *Client) connect(p *socketio.Packet) error {
	auth := []byte("{}")
	if len(p.Data) > 0 {
		auth = p.Data
	}
	var back comeback
	if c.recovers() {
		auth, back = splitComeback(auth)
	}
	s := &Socket{client: c, id: c.drawID(), namespace: p.Namespace, back: back}
	s.handshake = Handshake(c.conn.Request(), auth)
	s.name = chosenName(auth)
	if !c.speaksV4() { // these have it in the URL, which is no place for secrets
		s.secret = guestSecret(auth)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil
	case len(c.sockets) >= c.srv.opts.MaxNamespaces && c.sockets[p.Namespace] == nil:
		return errNamespaces
	}
	// A client that is held may think better of it and ask again; one that is in may not.
	if earlier := c.sockets[p.Namespace]; earlier != nil && !earlier.abandon() {
		return errSecondConnect
	}
	ctx, cancel := context.WithCancel(c.ctx)
	s.cancel = cancel
	c.sockets[p.Namespace] = s
	delete(c.gone, p.Namespace)
	c.entering.Add(1)
	go s.enter(ctx)
	return nil
}

func (c *Client) socket(namespace string) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sockets[namespace]
}

// left says whether the server put the client out of the namespace, so that packets for it may have been
// under way.
func (c *Client) left(namespace string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.gone[namespace]
	return ok || c.closed
}

// drop forgets a socket.
func (c *Client) drop(s *Socket, byServer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sockets[s.namespace] != s {
		return
	}
	delete(c.sockets, s.namespace)
	if byServer {
		if c.gone == nil {
			c.gone = make(map[string]struct{})
		}
		c.gone[s.namespace] = struct{}{}
	}
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

// disconnect puts the client out of all its namespaces, so that it comes back to none by itself, and closes
// the connection.
func (c *Client) disconnect() {
	c.mu.Lock()
	sockets := slices.Collect(maps.Values(c.sockets))
	c.mu.Unlock()
	for _, s := range sockets {
		s.Disconnect(false)
	}
	c.conn.Close(ReasonForcedClose)
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
	c.entering.Wait()
	for _, s := range sockets {
		s.close(reason)
	}
}
