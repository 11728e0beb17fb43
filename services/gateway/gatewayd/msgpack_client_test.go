package gatewayd_test

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/pkg/socketio"
)

// msgpackLink lets a client of the default parser talk to a gateway with msgpack. What is no packet of the default
// parser is written as it stands.
type msgpackLink struct {
	link
	in  socketio.MsgpackDecoder
	out socketio.Decoder
}

func newMsgpackLink(l link) *msgpackLink {
	return &msgpackLink{link: l, in: socketio.MsgpackDecoder{FromServer: true}}
}

func (l *msgpackLink) read() ([]engineio.Packet, error) {
	packets, err := l.link.read()
	var all []engineio.Packet
	for _, p := range packets {
		if p.Type != engineio.Message {
			all = append(all, p)
			continue
		}
		if !p.Binary {
			return nil, fmt.Errorf("the gateway sent the text %q", p.Data)
		}
		packet, err := l.in.Decode(p.Data)
		if err != nil {
			return nil, fmt.Errorf("the gateway sent %x: %w", p.Data, err)
		}
		all = append(all, engineio.Packet{Type: engineio.Message, Data: packet.Append(nil)})
		for _, a := range packet.Attachments {
			all = append(all, engineio.Packet{Type: engineio.Message, Binary: true, Data: a})
		}
	}
	return all, err
}

func (l *msgpackLink) write(p engineio.Packet) error {
	if p.Type != engineio.Message || p.Binary && l.out.Pending() == nil {
		return l.link.write(p)
	}
	var packet *socketio.Packet
	var err error
	if p.Binary {
		packet, err = l.out.Binary(p.Data)
	} else {
		packet, err = l.out.Text(p.Data)
	}
	if err != nil {
		return l.link.write(p)
	}
	if packet == nil {
		return nil // its attachments are still to come
	}
	frame, err := msgpackFrame(packet)
	if err != nil {
		return err
	}
	return l.link.write(engineio.Packet{Type: engineio.Message, Binary: true, Data: frame})
}

// msgpackFrame writes a client's packet.
func msgpackFrame(p *socketio.Packet) ([]byte, error) {
	head := socketio.Head{Namespace: p.Namespace, ID: p.ID, HasID: p.HasID}
	switch {
	case p.IsEvent():
		return socketio.AppendMsgpackEvent(nil, head, p.Data, p.Attachments)
	case p.IsAck():
		return socketio.AppendMsgpackAck(nil, head, p.Data, p.Attachments)
	case p.Type == socketio.Disconnect:
		return socketio.AppendMsgpackDisconnect(nil, p.Namespace), nil
	}
	frame := msgp.AppendInt(msgp.AppendString(msgp.AppendMapHeader(nil, 3), "type"), 0)
	frame = msgp.AppendString(msgp.AppendString(frame, "nsp"), p.Namespace)
	frame = msgp.AppendString(frame, "data")
	if p.Data == nil {
		return append(frame, 0xd4, 0, 0), nil // undefined, as stock clients without auth send it
	}
	before, err := socketio.AppendMsgpackAck(nil, socketio.Head{}, []byte("[]"), nil)
	if err != nil {
		return nil, err
	}
	auth, err := socketio.AppendMsgpackAck(nil, socketio.Head{}, array([]string{string(p.Data)}), nil)
	if err != nil {
		return nil, err
	}
	return append(frame, auth[len(before):]...), nil
}
