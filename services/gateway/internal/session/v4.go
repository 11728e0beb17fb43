package session

import (
	"net/url"
	"strings"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Clients of Socket.IO 1 and 2 speak version 4 of the protocol
// (https://github.com/socketio/socket.io-protocol/tree/v4). They are in the main namespace without asking for
// it, they give in a query string what later clients give as auth, they are not told their sockets' ids, and
// a refusal is one value instead of a message and data.

// speaksV4 says whether the client is one of those.
func (c *Client) speaksV4() bool { return c.conn.Revision() == 3 }

// enterMain enters the main namespace for a client of version 4, which expects it (section "Connection to the
// default namespace").
func (c *Client) enterMain() {
	r := c.conn.Request()
	// The client takes the id of the connection for its socket's. Where polling goes on, that is the secret
	// that proves who sends a request, and others see sockets' ids; a WebSocket needs no proof any more.
	if r.Query.Get("transport") == transport.WebSocket {
		c.mainID = c.conn.ID()
	}
	// That fails for a second CONNECT only.
	_ = c.connect(&socketio.Packet{Type: socketio.Connect, Namespace: socketio.MainNamespace, Data: authFromQuery(r.Query)})
}

// drawID returns the id for a new socket.
func (c *Client) drawID() string {
	if id := c.mainID; id != "" {
		c.mainID = ""
		return id
	}
	return c.srv.opts.Gateway + "." + newID()
}

// connectV4 is connect for a client of version 4.
func (c *Client) connectV4(p *socketio.Packet) error {
	name, query := socketio.SplitNamespaceV4(p.Namespace)
	if name == socketio.MainNamespace && c.socket(name) != nil {
		return nil // it is, or will be, in: some clients ask nevertheless
	}
	values, _ := url.ParseQuery(query) // what cannot be parsed is left out, as in the query of a URL
	connect := *p
	connect.Namespace, connect.Data = name, authFromQuery(values)
	return c.connect(&connect)
}

// authFromQuery makes of a query string what later clients send as auth: an object of strings. Parameters of
// Engine.IO are left out.
func authFromQuery(query url.Values) []byte {
	auth := make(map[string]string, len(query))
	for name, values := range query {
		switch name {
		case "EIO", "transport", "sid", "t", "j", "b64":
		default:
			auth[name] = values[0]
		}
	}
	return encode(auth)
}

// accepted tells the client that it is in.
func (s *Socket) accepted() *transport.Message {
	if s.client.speaksV4() {
		return transport.NewMessage(socketio.AppendConnectV4(nil, s.namespace))
	}
	return s.client.srv.opts.Parser.Connect(s.namespace, s.id, "")
}

// refused tells the client why it is not.
func (s *Socket) refused(no refusal) *transport.Message {
	if !s.client.speaksV4() {
		return s.client.srv.opts.Parser.ConnectError(s.namespace, no.message, no.data)
	}
	// The data if there is any, else the message, as by the stock server. Clients' parsers take nothing but
	// strings and objects.
	data := []byte(no.data)
	if len(data) == 0 || data[0] != '{' && data[0] != '[' && data[0] != '"' || string(data) == `""` {
		data = socketio.AppendString(nil, no.message)
	}
	return transport.NewMessage(socketio.AppendErrorV4(nil, s.namespace, data))
}

// tokenParameter is what presentsToken looks for in auth.
const tokenParameter = "token"

// forgetToken takes the token of a client of version 4 out of the handshake, in which it stands where others
// have what is no secret.
func forgetToken(h *contract.Handshake) {
	delete(h.Query, tokenParameter)
	path, query, found := strings.Cut(h.URL, "?")
	if !found {
		return
	}
	kept := make([]string, 0, strings.Count(query, "&")+1)
	for parameter := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != tokenParameter {
			kept = append(kept, parameter)
		}
	}
	h.URL = path + "?" + strings.Join(kept, "&")
}
