package socketio

import (
	"bytes"

	"github.com/tinylib/msgp/msgp"
)

// The msgpack parser, npm package socket.io-msgpack-parser, writes a packet as one binary frame: a map with
// the type, a number from 0 to 4, the namespace ("nsp"), the payload ("data") and the acknowledgement id
// ("id") if there is one. Binary data stands in the payload as it is, so there are no other frames.
//
// https://socket.io/docs/v4/custom-parser/#the-msgpack-parser
// https://github.com/msgpack/msgpack/blob/master/spec.md

// AppendMsgpackEvent appends an EVENT packet as the msgpack parser spells it. array is an event array with a
// placeholder for each attachment; the extra elements, each valid JSON, follow its own. The head's count of
// attachments does not matter. The errors are those of Valid, for the array and for the extra elements.
//
// Numbers are written as the stock parser writes them: whole numbers as integers, 1.0 and 1e3 too, all others as
// float 64. Integers stay exact from -2^63 to 2^64-1; beyond that they are float 64. A lone surrogate becomes
// U+FFFD, since msgpack's strings are UTF-8.
func AppendMsgpackEvent(dst []byte, h Head, array []byte, attachments [][]byte, extra ...[]byte) ([]byte, error) {
	s := scanner{data: array, shape: make([]uint32, 0, shapes)}
	if err := s.args(len(attachments)); err != nil {
		return nil, err
	}
	if _, err := s.name(false); err != nil {
		return nil, err
	}
	return appendMsgpackArgs(h.appendMsgpack(dst, Event), &s, attachments, extra)
}

// AppendMsgpackAck appends an ACK packet as AppendMsgpackEvent does an EVENT. The errors are those of ValidArgs.
func AppendMsgpackAck(dst []byte, h Head, args []byte, attachments [][]byte, extra ...[]byte) ([]byte, error) {
	s := scanner{data: args, shape: make([]uint32, 0, shapes)}
	if err := s.args(len(attachments)); err != nil {
		return nil, err
	}
	return appendMsgpackArgs(h.appendMsgpack(dst, Ack), &s, attachments, extra)
}

// AppendMsgpackConnect appends what AppendConnect says.
func AppendMsgpackConnect(dst []byte, namespace, sid, pid string) []byte {
	dst = Head{Namespace: namespace}.appendMsgpack(dst, Connect)
	if pid == "" {
		return msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(dst, 1), "sid"), sid)
	}
	dst = msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(dst, 2), "sid"), sid)
	return msgp.AppendString(msgp.AppendString(dst, "pid"), pid)
}

// AppendMsgpackConnectError appends what AppendConnectError says. Data that is not valid JSON is an error.
func AppendMsgpackConnectError(dst []byte, namespace, message string, data []byte) ([]byte, error) {
	dst = Head{Namespace: namespace}.appendMsgpack(dst, ConnectError)
	if data == nil {
		return msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(dst, 1), "message"), message), nil
	}
	dst = msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(dst, 2), "message"), message)
	return appendMsgpackJSON(msgp.AppendString(dst, "data"), data)
}

// AppendMsgpackDisconnect appends what AppendDisconnect says.
func AppendMsgpackDisconnect(dst []byte, namespace string) []byte {
	dst = msgp.AppendInt(msgp.AppendString(msgp.AppendMapHeader(dst, 2), "type"), int(Disconnect-Connect))
	return appendMsgpackNamespace(dst, namespace)
}

// appendMsgpack appends all but the payload of a packet that has one.
func (h Head) appendMsgpack(dst []byte, t Type) []byte {
	size := uint32(3)
	if h.HasID {
		size = 4
	}
	dst = msgp.AppendInt(msgp.AppendString(msgp.AppendMapHeader(dst, size), "type"), int(t-Connect))
	dst = appendMsgpackNamespace(dst, h.Namespace)
	if h.HasID {
		dst = msgp.AppendUint64(msgp.AppendString(dst, "id"), h.ID)
	}
	return msgp.AppendString(dst, "data")
}

func appendMsgpackNamespace(dst []byte, name string) []byte {
	if name == "" {
		name = MainNamespace
	}
	return msgp.AppendString(msgp.AppendString(dst, "nsp"), name)
}

// appendMsgpackArgs appends a scanned array with extra elements.
func appendMsgpackArgs(dst []byte, s *scanner, attachments, extra [][]byte) ([]byte, error) {
	s.shape[0] += uint32(len(extra))
	w := transcoder{scanner: scanner{data: s.data}, shape: s.shape, attachments: attachments, dst: dst}
	w.space()
	w.transcode()
	dst = w.dst
	for _, element := range extra {
		var err error
		if dst, err = appendMsgpackJSON(dst, element); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// appendMsgpackJSON appends any JSON text, in which placeholders mean nothing.
func appendMsgpackJSON(dst, text []byte) ([]byte, error) {
	s := scanner{data: text, shape: make([]uint32, 0, shapes)}
	if err := s.document(); err != nil {
		return nil, err
	}
	w := transcoder{scanner: scanner{data: text}, shape: s.shape, dst: dst}
	w.space()
	w.transcode()
	return w.dst, nil
}

// shapes is how many arrays and objects a scan makes room for at first.
const shapes = 8

// transcoder writes scanned JSON as msgpack. Arrays and maps say first how many elements they have, so the
// text is read twice, and the first time counts.
type transcoder struct {
	scanner              // moves over the text once more; what was valid is valid
	shape       []uint32 // of the arrays and objects that are still to come
	attachments [][]byte // for the placeholders
	dst         []byte
}

// transcode writes the value at the position.
func (w *transcoder) transcode() {
	start := w.pos
	switch w.peek() {
	case '"':
		w.string()
		w.dst = appendMsgpackString(w.dst, w.data[start:w.pos])
	case '{':
		w.object()
	case '[':
		w.array()
	case 't':
		w.literal("true")
		w.dst = msgp.AppendBool(w.dst, true)
	case 'f':
		w.literal("false")
		w.dst = msgp.AppendBool(w.dst, false)
	case 'n':
		w.literal("null")
		w.dst = msgp.AppendNil(w.dst)
	default:
		w.number()
		w.dst = appendMsgpackNumber(w.dst, w.data[start:w.pos])
	}
}

// nextShape returns the shape of the array or object at the position.
func (w *transcoder) nextShape() uint32 {
	shape := w.shape[0]
	w.shape = w.shape[1:]
	return shape
}

func (w *transcoder) array() {
	w.dst = msgp.AppendArrayHeader(w.dst, w.nextShape())
	w.pos++
	w.space()
	for !w.next(']') {
		w.transcode()
		w.space()
		w.next(',')
		w.space()
	}
}

func (w *transcoder) object() {
	shape := w.nextShape()
	if shape&placeholderShape != 0 {
		w.value() // its members are no arrays or objects
		w.dst = msgp.AppendBytes(w.dst, w.attachments[shape&^placeholderShape])
		return
	}
	w.dst = msgp.AppendMapHeader(w.dst, shape)
	w.pos++
	w.space()
	for !w.next('}') {
		w.transcode()
		w.space()
		w.next(':')
		w.space()
		w.transcode()
		w.space()
		w.next(',')
		w.space()
	}
}

// appendMsgpackString appends a JSON string with its quotes.
func appendMsgpackString(dst, quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		return msgp.AppendString(dst, unquote(quoted))
	}
	return msgp.AppendStringFromBytes(dst, quoted[1:len(quoted)-1])
}
