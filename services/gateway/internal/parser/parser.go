// Package parser spells Socket.IO packets in messages of the transport, and reads those of clients: what
// Socket.IO calls the option parser. A gateway has one parser, and all its clients must use the same.
//
// Whatever the parser, events and acks are JSON text with placeholders, and attachments, on this side. It
// knows neither connections nor namespaces, nor what packets mean.
package parser

import (
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Parser makes messages, each once for all connections that it is sent to. It is safe for concurrent use.
type Parser interface {
	// Decoder makes the decoder of one connection.
	Decoder(Limits) Decoder

	// Event makes an event. The array's JSON stays what it is, and the extra elements, each valid JSON,
	// follow its own; head.Attachments does not matter. The errors are those of [socketio.Valid].
	Event(head socketio.Head, array []byte, attachments [][]byte, extra ...[]byte) (*transport.Message, error)

	// Ack makes an ack of an array of arguments that [socketio.ValidArgs] accepts.
	Ack(head socketio.Head, args []byte, attachments [][]byte) (*transport.Message, error)

	// Connect makes the answer to a CONNECT; pid is "" without connection state recovery.
	Connect(namespace, sid, pid string) *transport.Message

	// ConnectError makes the refusal of a CONNECT; data is JSON, or nil.
	ConnectError(namespace, message string, data []byte) *transport.Message

	// Disconnect makes a DISCONNECT.
	Disconnect(namespace string) *transport.Message
}

// Names are the parsers that there are, as settings name them.
var Names = []string{"default", "msgpack"}

// ByName returns a parser; nil if there is none of the name.
func ByName(name string) Parser {
	switch name {
	case "default":
		return Default
	case "msgpack":
		return Msgpack
	}
	return nil
}

// Decoder reads what one client sends. It is not safe for concurrent use.
type Decoder interface {
	// Message decodes a message, which is valid during the call alone. It returns nil and no error if more
	// messages are to come before the packet is complete. A packet that came in one message may refer to it,
	// but for a CONNECT; after an error the connection must be closed.
	Message(data []byte, binary bool) (*socketio.Packet, error)

	// Pending is the packet that waits for more messages: head and payload are complete. nil if none does.
	Pending() *socketio.Packet
}

// Limits are what a client's packet may have at most.
type Limits struct {
	Attachments     int // 1 to 64
	AttachmentBytes int // in all attachments of one packet
}
