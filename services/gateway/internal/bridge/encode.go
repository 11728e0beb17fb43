package bridge

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

var errNoRooms = fmt.Errorf("%w: the target many needs the header %s", contract.ErrBadHeader, contract.HeaderRooms)

// selection says which sockets a message means, and whether it means those of this gateway at all.
func (b *Bridge) selection(p contract.Parsed, h contract.Header) (sel hub.Selection, here bool, err error) {
	sel = hub.Selection{Namespace: p.Namespace, Rooms: p.Target.Rooms()}
	if p.Many {
		if sel.Rooms, err = contract.ParseNames(contract.Last(h, contract.HeaderRooms)); err != nil {
			return sel, false, err
		}
		if len(sel.Rooms) == 0 {
			return sel, false, errNoRooms
		}
	}
	if sel.Except, err = contract.ParseNames(contract.Last(h, contract.HeaderExcept)); err != nil {
		return sel, false, err
	}
	local, err := contract.ParseLocal(h)
	return sel, err == nil && (local == "" || local == b.opts.Gateway), err
}

// encodeEvent makes the packet of an event, once for all who receive it. The extra elements follow its own.
func (b *Bridge) encodeEvent(head socketio.Head, h contract.Header, payload []byte, extra ...[]byte) (*transport.Message, error) {
	array, attachments, err := contract.SplitPayload(h, payload)
	if err != nil {
		return nil, err
	}
	m, err := b.opts.Parser.Event(head, array, attachments, extra...)
	if err == nil && !contract.MayCompress(h) {
		m = m.Uncompressed()
	}
	return m, err
}

// stamp is the last argument of what clients say to each other. The sender's headers are set by gateways;
// id is empty for volatile events. It fails for what history does not keep either: a user who cannot be one.
func stamp(h contract.Header, id string, at time.Time) ([]byte, error) {
	user := contract.Last(h, contract.HeaderUser)
	if user != "" {
		if err := contract.CheckUser(user); err != nil {
			return nil, fmt.Errorf("%s: %w", contract.HeaderUser, err)
		}
	}
	b, err := json.Marshal(contract.Stamp{
		ID:     id,
		Socket: contract.Last(h, contract.HeaderSocket),
		User:   user,
		Name:   contract.Last(h, contract.HeaderName),
		Time:   at.UTC(),
	})
	if err != nil {
		return []byte("{}"), nil // a year beyond 9999 is all that could not be written
	}
	return b, nil
}

// say makes the NATS message of what a client says.
func (b *Bridge) say(say session.Say) (*nats.Msg, error) {
	subject, err := b.opts.Subjects.To(say.Kind, say.Namespace, say.Target)
	if err != nil {
		return nil, err
	}
	msg := b.message(subject, say.From, say.Event, say.Attachments)
	msg.Header.Set(contract.HeaderStamp, "1")
	if len(say.Except) > 0 {
		except, err := contract.FormatNames(say.Except)
		if err != nil {
			return nil, err
		}
		msg.Header.Set(contract.HeaderExcept, except)
	}
	return msg, b.fits(msg)
}

// message carries an event array and who said it.
func (b *Bridge) message(subject string, from *session.Socket, event []byte, attachments [][]byte) *nats.Msg {
	msg := &nats.Msg{Subject: subject, Data: event, Header: nats.Header{contract.HeaderSocket: {from.ID()}}}
	if from.User() != "" {
		msg.Header[contract.HeaderUser] = []string{from.User()}
	}
	if from.Name() != "" {
		msg.Header[contract.HeaderName] = []string{from.Name()}
	}
	if len(attachments) > 0 {
		msg.Data = contract.JoinPayload(event, attachments)
		msg.Header[contract.HeaderAttachments] = []string{contract.FormatAttachments(attachments)}
	}
	return msg
}
