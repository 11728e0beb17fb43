package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// Store publishes to the main stream.
func (b *Bridge) Store(say session.Say, done func(id string, err error)) {
	msg, err := b.say(say)
	if err == nil {
		msg.Header[jetstream.MsgIDHeader] = []string{msgID(msg.Subject, say)}
		err = b.fits(msg)
	}
	if err == nil {
		if len(say.Attachments) == 0 {
			msg.Data = bytes.Clone(msg.Data) // it was the client's buffer
		}
		now := time.Now()
		p := &post{msg: msg, said: now, until: now.Add(storeTimeout)}
		p.done = func(id string, err error) {
			if err != nil && !errors.Is(err, session.ErrTooLarge) {
				b.notStored(err, "subject", p.msg.Subject)
			}
			done(id, err)
		}
		err = b.outbox.add(say.From.ID(), p)
	}
	if err != nil {
		if !errors.Is(err, session.ErrTooLarge) {
			b.notStored(err, "namespace", say.Namespace, "target", say.Target)
		}
		done("", err)
	}
}

func (b *Bridge) notStored(err error, about ...any) {
	b.opts.Metrics.Dropped("not stored")
	b.often(&b.lately.store, "a message is not known to be stored; its sender is not told that it is", append(about, "error", err)...)
}

// msgID is by which JetStream knows the message again: when its author says it again, if it has an application id, else
// when the gateway publishes it again.
func msgID(subject string, say session.Say) string {
	if say.ID == "" {
		return nuid.Next()
	}
	return contract.MsgID(say.From.Author(), subject, "", say.ID)
}

// pubAck reads JetStream's answer to a publish and returns the message's id, which it has from the first time. Whoever
// else answers is not believed.
func pubAck(stream, epoch string, reply *nats.Msg, err error) (id string, _ error) {
	if err != nil {
		return "", err
	}
	var ack struct {
		Stream   string              `json:"stream"`
		Sequence uint64              `json:"seq"`
		Error    *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return "", fmt.Errorf("acknowledgement %q: %w", reply.Data, err)
	}
	switch {
	case ack.Error != nil && ack.Error.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return "", fmt.Errorf("%w: the stream takes no message of this size (its max_msg_size)", session.ErrTooLarge)
	case ack.Error != nil:
		return "", ack.Error
	case ack.Stream != stream || ack.Sequence == 0:
		return "", fmt.Errorf("not an acknowledgement of the stream %s: %.80q", stream, reply.Data)
	}
	return contract.MessageID(epoch, ack.Sequence), nil
}
