package parser

import (
	"fmt"

	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Msgpack is the parser of the npm package socket.io-msgpack-parser and of the bundle socket.io.msgpack.min.js:
// one binary message for each packet.
var Msgpack Parser = msgpack{}

type msgpack struct{}

func (msgpack) Event(head socketio.Head, array []byte, attachments [][]byte, extra ...[]byte) (*transport.Message, error) {
	frame, err := socketio.AppendMsgpackEvent(buffer(array, attachments), head, array, attachments, extra...)
	if err != nil {
		return nil, err
	}
	return transport.NewBinary(frame), nil
}

func (msgpack) Ack(head socketio.Head, args []byte, attachments [][]byte) (*transport.Message, error) {
	frame, err := socketio.AppendMsgpackAck(buffer(args, attachments), head, args, attachments)
	if err != nil {
		return nil, err
	}
	return transport.NewBinary(frame), nil
}

// buffer has room for most packets of an array.
func buffer(array []byte, attachments [][]byte) []byte {
	const head = 64
	size := head + len(array)
	for _, a := range attachments {
		size += len(a)
	}
	return make([]byte, 0, size)
}

func (msgpack) Connect(namespace, sid, pid string) *transport.Message {
	return transport.NewBinary(socketio.AppendMsgpackConnect(nil, namespace, sid, pid))
}

// ConnectError leaves out data that is no JSON: the refusal itself must reach the client.
func (msgpack) ConnectError(namespace, message string, data []byte) *transport.Message {
	frame, err := socketio.AppendMsgpackConnectError(nil, namespace, message, data)
	if err != nil {
		frame, _ = socketio.AppendMsgpackConnectError(nil, namespace, message, nil) // nothing in it can fail
	}
	return transport.NewBinary(frame)
}

func (msgpack) Disconnect(namespace string) *transport.Message {
	return transport.NewBinary(socketio.AppendMsgpackDisconnect(nil, namespace))
}

func (msgpack) Decoder(l Limits) Decoder {
	return &msgpackDecoder{socketio.MsgpackDecoder{MaxAttachments: l.Attachments}}
}

type msgpackDecoder struct{ socketio.MsgpackDecoder }

// Message decodes a message. The attachments' bytes are no more than those of one message of the transport,
// which bounds them.
func (d *msgpackDecoder) Message(data []byte, binary bool) (*socketio.Packet, error) {
	if !binary {
		return nil, fmt.Errorf("%w: %.20q… is text, but this gateway's parser is msgpack", socketio.ErrPacket, data)
	}
	return d.Decode(data)
}

func (*msgpackDecoder) Pending() *socketio.Packet { return nil }
