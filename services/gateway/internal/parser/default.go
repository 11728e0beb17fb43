package parser

import (
	"bytes"

	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Default is the parser of clients that do not name one: a text message, and a binary one for each attachment.
var Default Parser = plain{}

type plain struct{}

func (plain) Event(head socketio.Head, array []byte, attachments [][]byte, extra ...[]byte) (*transport.Message, error) {
	if err := socketio.Valid(array, len(attachments)); err != nil {
		return nil, err
	}
	head.Attachments = len(attachments)
	return transport.NewMessage(socketio.AppendEvent(nil, head, array, extra...), attachments...), nil
}

func (plain) Ack(head socketio.Head, args []byte, attachments [][]byte) (*transport.Message, error) {
	head.Attachments = len(attachments)
	return transport.NewMessage(socketio.AppendAck(nil, head, args), attachments...), nil
}

func (plain) Connect(namespace, sid, pid string) *transport.Message {
	return transport.NewMessage(socketio.AppendConnect(nil, namespace, sid, pid))
}

func (plain) ConnectError(namespace, message string, data []byte) *transport.Message {
	return transport.NewMessage(socketio.AppendConnectError(nil, namespace, message, data))
}

func (plain) Disconnect(namespace string) *transport.Message {
	return transport.NewMessage(socketio.AppendDisconnect(nil, namespace))
}

func (plain) Decoder(l Limits) Decoder {
	return &plainDecoder{socketio.Decoder{MaxAttachments: l.Attachments, MaxAttachmentBytes: l.AttachmentBytes}}
}

type plainDecoder struct{ socketio.Decoder }

func (d *plainDecoder) Message(data []byte, binary bool) (*socketio.Packet, error) {
	if binary || keeps(data) {
		data = bytes.Clone(data)
	}
	if binary {
		return d.Binary(data)
	}
	return d.Text(data)
}

// keeps says whether a packet lives longer than the call that brings it: its data are kept for the
// attachments to come, or for a middleware.
func keeps(text []byte) bool {
	if len(text) == 0 {
		return false
	}
	switch socketio.Type(text[0]) {
	case socketio.Connect, socketio.BinaryEvent, socketio.BinaryAck:
		return true
	}
	return false
}
