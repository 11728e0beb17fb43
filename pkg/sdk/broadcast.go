package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// Broadcast says something to sockets of a namespace: to all, or to those in rooms. It is a value; its methods
// To, Except, Volatile, … return a changed copy, so that one may be kept and used from any goroutine.
//
// A name in the form of a socket id means that socket. Each socket hears a message once, whatever number of
// the rooms it is in.
type Broadcast struct {
	server    *Server
	namespace string
	rooms     []string
	except    []string
	sender    *Socket // who says it, if a client: goes into the headers
	gateway   string  // the only one that is meant; "" for all
	volatile  bool
	stamped   bool
	plain     bool // not to be compressed
	timeout   time.Duration
	id        string
}

// To adds rooms and socket ids that hear it; without any, every socket of the namespace does.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.rooms = union(b.rooms, rooms)
	return b
}

// In is the same as To.
func (b Broadcast) In(rooms ...string) Broadcast { return b.To(rooms...) }

// Except adds rooms and socket ids that do not hear it.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.except = union(b.except, rooms)
	return b
}

// Local leaves of the target the sockets of one gateway, named by its id: the first part of the ids of its sockets, and
// gatewayd.Service.ID of a gateway inside a program. See [Socket.Local]. Of a Post the delivery alone is local: history
// keeps it as any.
func (b Broadcast) Local(gateway string) Broadcast {
	b.gateway = gateway
	return b
}

// Volatile makes Emit send now or never: not stored, not repaired, in no order with the rest.
func (b Broadcast) Volatile() Broadcast {
	b.volatile = true
	return b
}

// Stamped asks gateways to append a contract.Stamp to the arguments, as they do to posts.
func (b Broadcast) Stamped() Broadcast {
	b.stamped = true
	return b
}

// Compress says whether gateways may compress it for clients that take it compressed, as they do unless told
// otherwise: Compress(false) is for what does not get smaller, such as pictures.
func (b Broadcast) Compress(compress bool) Broadcast {
	b.plain = !compress
	return b
}

// Timeout is how long EmitWithAck and FetchSockets wait for answers.
func (b Broadcast) Timeout(d time.Duration) Broadcast {
	b.timeout = d
	return b
}

// ID gives the message an id of the caller's, any text: what instances of the service say to the same target with the same
// id is stored and heard once, so that it may be said again after an error, in another process too. JetStream remembers ids
// for three minutes, unless the gateways' duplicateWindow says otherwise; later it is another message. Other services'
// ids do not matter. For Emit and Post.
func (b Broadcast) ID(id string) Broadcast {
	b.id = id
	return b
}

// union copies, so that two broadcasts made from one do not share an array.
func union(have, more []string) []string {
	joined := slices.Clone(have)
	for _, name := range more {
		if !slices.Contains(joined, name) {
			joined = append(joined, name)
		}
	}
	return joined
}

// Emit says an event and its arguments to the clients. It returns once JetStream has stored it, from where it
// is recoverable for clients that were away shortly; if [Broadcast.Volatile], once it is written.
//
// Arguments are encoded by encoding/json, without escaping HTML. A []byte that is an argument or an element
// of maps and slices becomes a binary attachment; inside a struct it is base64 text. A json.RawMessage that is
// an argument goes byte for byte.
//
// Errors: [ErrNoStream], [ErrNotStored], [ErrReservedEvent], [ErrTooManyAttachments], contract.ErrTokenTooLong
// for the name of a room, nats.ErrMaxPayload, and those of encoding/json and the connection.
func (b Broadcast) Emit(ctx context.Context, event string, args ...any) error {
	kind := contract.Emit
	if b.volatile {
		kind = contract.Volatile
	}
	msg, err := b.message(ctx, kind, event, args)
	if err != nil {
		return fmt.Errorf("emit %q: %w", event, err)
	}
	if b.volatile {
		if err = ctx.Err(); err == nil {
			err = b.server.nc.PublishMsg(msg)
		}
	} else {
		_, err = b.server.store(ctx, msg, b.msgID(msg))
	}
	if err != nil {
		return fmt.Errorf("emit %q: %w", event, err)
	}
	return nil
}

// Post is Emit for what is also kept as history. It returns the message's id, <stream creation>-<sequence>,
// as it stands in the stamp that clients hear and in history.
//
// Errors: those of Emit, [ErrVolatile], and [ErrUnknownID] for one that is stored all the same, which who says it again
// without [Broadcast.ID] says twice.
func (b Broadcast) Post(ctx context.Context, event string, args ...any) (id string, err error) {
	if b.volatile {
		return "", fmt.Errorf("post %q: %w", event, ErrVolatile)
	}
	msg, err := b.message(ctx, contract.Post, event, args)
	if err != nil {
		return "", fmt.Errorf("post %q: %w", event, err)
	}
	if id, err = b.server.storeWithID(ctx, msg, b.msgID(msg)); err != nil {
		return "", fmt.Errorf("post %q: %w", event, err)
	}
	return id, nil
}

// Join puts the sockets into rooms. When it returns, what is emitted or posted to the rooms from then on reaches
// them: both are stored in one order. EmitWithAck and FetchSockets of the same server find them there too; Volatile
// is not in that order and may, for a moment, still find the sockets where they were. Errors: those of Emit.
func (b Broadcast) Join(ctx context.Context, rooms ...string) error {
	return b.move(ctx, "join", rooms)
}

// Leave takes the sockets out of rooms, in the same order as Join. Errors: those of Emit.
func (b Broadcast) Leave(ctx context.Context, rooms ...string) error {
	return b.move(ctx, "leave", rooms)
}

// Disconnect takes the sockets out of the namespace; with closeConnection, the connection under them is closed
// too, with its sockets of other namespaces. Errors: those of Emit.
func (b Broadcast) Disconnect(ctx context.Context, closeConnection bool) error {
	if closeConnection {
		return b.do(ctx, "disconnect", true)
	}
	return b.do(ctx, "disconnect")
}

// SetData replaces the data of the sockets, socket.data in Socket.IO, by a value that is encoded as JSON; nil removes
// it. In the same order as Join: FetchSockets of the same server finds it then. Errors: those of Emit, and
// [ErrDataTooLarge].
func (b Broadcast) SetData(ctx context.Context, data any) error {
	text, err := encodeData(data)
	if err != nil {
		return err
	}
	return b.do(ctx, "data", json.RawMessage(text))
}

func (b Broadcast) move(ctx context.Context, action string, rooms []string) error {
	if len(rooms) == 0 {
		return nil
	}
	args := make([]any, len(rooms))
	for i, room := range rooms {
		if _, err := contract.EncodeToken(room); err != nil {
			return fmt.Errorf("%s: room: %w", action, err)
		}
		args[i] = room
	}
	return b.do(ctx, action, args...)
}

func (b Broadcast) do(ctx context.Context, action string, args ...any) error {
	text, _, err := encodeArray(append([]any{action}, args...))
	var msg *nats.Msg
	if err == nil {
		msg, err = b.addressed(contract.Do)
	}
	if err == nil {
		msg.Data = text
		_, err = b.server.store(ctx, msg, "")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}

// msgID is by which JetStream knows the message again; "" if it has no id.
func (b Broadcast) msgID(msg *nats.Msg) string {
	if b.id == "" {
		return ""
	}
	return contract.MsgID(contract.ByService(b.server.opts.Name), msg.Subject, msg.Header.Get(contract.HeaderRooms), b.id)
}

// message is an event on its way to the broadcast's target.
func (b Broadcast) message(ctx context.Context, kind contract.Kind, event string, args []any) (*nats.Msg, error) {
	text, attachments, err := encodeEvent(event, args)
	if err != nil {
		return nil, err
	}
	msg, err := b.addressed(kind)
	if err != nil {
		return nil, err
	}
	msg.Data = contract.JoinPayload(text, attachments)
	if len(attachments) > 0 {
		msg.Header.Set(contract.HeaderAttachments, contract.FormatAttachments(attachments))
	}
	if b.stamped && kind != contract.Post {
		msg.Header.Set(contract.HeaderStamp, "1")
	}
	if b.plain {
		msg.Header.Set(contract.HeaderCompress, "false")
	}
	if b.sender != nil && kind != contract.Ask { // a question has no stamp
		b.sender.sign(msg)
	}
	b.told(ctx, kind, event, text, attachments)
	return msg, nil
}

// addressed is an empty message to the broadcast's target.
func (b Broadcast) addressed(kind contract.Kind) (*nats.Msg, error) {
	target := contract.To(b.rooms...)
	subject, err := b.server.subjects.To(kind, b.namespace, target)
	if err != nil {
		return nil, err
	}
	msg := nats.NewMsg(subject)
	if b.gateway != "" {
		if !contract.ValidGatewayID(b.gateway) {
			return nil, fmt.Errorf("local: %q is not a gateway's id", b.gateway)
		}
		msg.Header.Set(contract.HeaderGateway, b.gateway)
	}
	for header, names := range map[string][]string{contract.HeaderRooms: b.rooms, contract.HeaderExcept: b.except} {
		if len(names) == 0 || header == contract.HeaderRooms && !target.IsMany() {
			continue
		}
		value, err := contract.FormatNames(names)
		if err != nil {
			return nil, err
		}
		msg.Header.Set(header, value)
	}
	return msg, nil
}
