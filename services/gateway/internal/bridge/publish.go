package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// fits refuses what NATS would refuse by closing the gateway's connection. Headers are counted generously.
func (b *Bridge) fits(msg *nats.Msg) error {
	size := int64(len(msg.Data)) + int64(len(msg.Subject)) + 64
	for name, values := range msg.Header {
		for _, v := range values {
			size += int64(len(name) + len(v) + 4)
		}
	}
	if limit := b.nc.MaxPayload(); limit > 0 && size > limit {
		return fmt.Errorf("%w: %d bytes with their headers, NATS takes %d (max_payload)", session.ErrTooLarge, size, limit)
	}
	return nil
}

// Volatile publishes for whoever is there.
func (b *Bridge) Volatile(say session.Say) error {
	msg, err := b.say(say)
	if err != nil {
		return err
	}
	return b.nc.PublishMsg(msg)
}

// On tells services what a client said; of the service that has taken the socket, that instance.
func (b *Bridge) On(s *session.Socket, event string, array []byte, attachments [][]byte, ack func([]byte, [][]byte, error)) error {
	subject, err := b.opts.Subjects.On(s.Namespace(), event, s.ID())
	if instance := s.Instance(); instance != "" {
		subject, err = b.opts.Subjects.OnTaken(s.Namespace(), event, s.ID(), instance)
	}
	if err != nil {
		return err
	}
	msg := b.message(subject, s, array, attachments)
	b.signPattern(msg, s.Namespace())
	if owner, _, _ := strings.Cut(s.ID(), "."); owner != b.opts.Gateway {
		msg.Header[contract.HeaderGateway] = []string{b.opts.Gateway}
	}
	if event != contract.EventConnect { // which has them in its payload
		header, value := s.DataHeader()
		b.attachData(msg, header, value)
	}
	if err := b.fits(msg); err != nil {
		return err
	}
	if ack == nil {
		return b.nc.PublishMsg(msg)
	}
	return b.replies.request(msg, b.opts.AckTimeout, func(reply *nats.Msg, err error) {
		if err != nil {
			ack(nil, nil, err)
			return
		}
		args, attachments, err := contract.SplitPayload(contract.Header(reply.Header), reply.Data)
		if err == nil {
			if len(args) == 0 {
				args = []byte("[]")
			}
			err = socketio.ValidArgs(args, len(attachments))
		}
		if err != nil {
			b.opts.Metrics.Dropped("malformed ack")
			b.often(&b.lately.ack, "a service's ack is not a JSON array of arguments; the client does not get it", "subject", subject, "reason", err)
		}
		after, malformed := contract.ParseAfter(contract.Header(reply.Header))
		if malformed != nil {
			b.often(&b.lately.ack, "a service's ack does not say after what it is to come; the client gets it at once", "subject", subject, "reason", malformed)
		}
		if after == 0 {
			ack(args, attachments, err)
			return
		}
		b.turns.wait(after, func(late error) {
			if late != nil { // a client would do again what the ack acknowledges, so it goes without the order
				b.often(&b.lately.ack, "an ack goes without waiting for what its handler said before", "subject", subject, "reason", late)
			}
			ack(args, attachments, err)
		})
	})
}

// attachData tells of a socket's data with what it says; how large they are if they do not fit beside it.
func (b *Bridge) attachData(msg *nats.Msg, header, value string) {
	if header == "" {
		return
	}
	msg.Header[header] = []string{value}
	if header == contract.HeaderData && b.fits(msg) != nil {
		delete(msg.Header, header)
		header, value = contract.FormatDataSize([]byte(value))
		msg.Header[header] = []string{value}
	}
}

// signPattern says from which pattern a namespace has its configuration, if from one.
func (b *Bridge) signPattern(msg *nats.Msg, namespace string) {
	if pattern := b.spaces.pattern(namespace); pattern != "" {
		if token, err := contract.EncodeNamespace(pattern); err == nil {
			msg.Header.Set(contract.HeaderPattern, token)
		}
	}
}

// Use asks a middleware of a namespace, or a function, until it answers or the context ends.
func (b *Bridge) Use(ctx context.Context, namespace, middleware string, entry contract.Entry) (contract.Admission, error) {
	subject, err := b.opts.Subjects.Use(namespace, middleware)
	if err != nil {
		return contract.Admission{}, err
	}
	request := &nats.Msg{Subject: subject, Header: nats.Header{}}
	b.signPattern(request, entry.Namespace)
	if request.Data, err = json.Marshal(entry); err != nil {
		return contract.Admission{}, fmt.Errorf("handshake: %w", err)
	}
	if int64(request.Size()) > b.nc.MaxPayload() {
		return contract.Admission{Message: "the handshake is too large"}, nil
	}
	var a contract.Admission
	err = b.again(ctx, func() (err error) {
		if a, err = b.useOnce(ctx, request); err != nil {
			b.often(&b.lately.use, "a middleware does not answer; the client is held and it is asked again; if its service is gone for good, take it out of the namespace's configuration in the bucket "+b.opts.Subjects.Names().Namespaces, "subject", subject, "socket", entry.ID, "error", err)
		}
		return err
	})
	return a, err
}

// again asks a service until it answers or the context ends.
func (b *Bridge) again(ctx context.Context, try func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, maxUseWait) {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		case <-time.After(wait):
		}
	}
}

const (
	useTimeout = 3 * time.Second // for one attempt
	maxUseWait = 2 * time.Second // between two
)

// askOnce puts a request to a service; a NATS micro error is no answer.
func (b *Bridge) askOnce(ctx context.Context, request *nats.Msg) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	reply, err := b.nc.RequestMsgWithContext(ctx, request)
	if err != nil {
		return nil, err
	}
	if code := reply.Header.Get(contract.HeaderMicroCode); code != "" {
		return nil, fmt.Errorf("error %s: %s", code, reply.Header.Get(contract.HeaderMicroError))
	}
	return reply, nil
}

func (b *Bridge) useOnce(ctx context.Context, request *nats.Msg) (contract.Admission, error) {
	reply, err := b.askOnce(ctx, request)
	if err != nil {
		return contract.Admission{}, err
	}
	var a struct {
		OK *bool `json:"ok"`
		contract.Admission
	}
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return contract.Admission{}, fmt.Errorf("not an admission: %w", err)
	}
	if a.OK == nil {
		return contract.Admission{}, errors.New(`not an admission: "ok" is missing`)
	}
	if a.User != "" {
		if err := contract.CheckUser(a.User); err != nil {
			return contract.Admission{}, fmt.Errorf("not an admission: user: %w", err)
		}
	}
	for _, room := range a.Rooms {
		if contract.IsSocketID(room) {
			return contract.Admission{}, fmt.Errorf("not an admission: rooms: %q has the form of a socket id", room)
		}
		if _, err := contract.EncodeToken(room); err != nil {
			return contract.Admission{}, fmt.Errorf("not an admission: rooms: %w", err)
		}
	}
	for i, g := range a.Emit {
		if err := socketio.Valid(g.Event, len(g.Attachments)); err != nil {
			return contract.Admission{}, fmt.Errorf("not an admission: emit %d: %w", i, err)
		}
	}
	if *a.OK && len(a.Data) > contract.MaxData {
		b.often(&b.lately.use, "a middleware gave a client too much data, it is refused", "subject", request.Subject, "bytes", len(a.Data), "allowed", contract.MaxData)
		return contract.Admission{Message: "the server has too much data for the socket"}, nil
	}
	a.Admission.OK = *a.OK
	return a.Admission, nil
}

// unavailableAfter bounds what a client's question may wait for.
const unavailableAfter = 5 * time.Second

// Who lists the sockets in a room over all gateways.
func (b *Bridge) Who(namespace, room string) ([]contract.SocketInfo, error) {
	subject, err := b.opts.Subjects.To(contract.List, namespace, contract.To(room))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), unavailableAfter)
	defer cancel()
	msg := nats.NewMsg(subject)
	msg.Header.Set(contract.HeaderTimeout, (unavailableAfter * 4 / 5).String())
	var all []contract.SocketInfo
	var leftOut error
	probe := func(gateway string) (string, error) { return b.opts.Subjects.ListNobody(namespace, gateway) }
	err = b.gatherer.All(ctx, msg, probe, func(reply *nats.Msg) error {
		var part []contract.SocketInfo
		h := contract.Header(reply.Header)
		if err := json.Unmarshal(reply.Data, &part); err != nil {
			return fmt.Errorf("answer of gateway %s: %w", contract.Last(h, contract.HeaderGateway), err)
		}
		if n := contract.Last(h, contract.HeaderLeftOut); n != "" {
			leftOut = fmt.Errorf("gateway %s left out %s sockets, larger than max_payload", contract.Last(h, contract.HeaderGateway), n)
		}
		all = append(all, part...)
		return nil
	})
	return all, errors.Join(err, leftOut)
}

// Login passes a sign-in on to the auth service and returns its reply, JSON.
func (b *Bridge) Login(ctx context.Context, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, unavailableAfter)
	defer cancel()
	reply, err := b.nc.RequestWithContext(ctx, b.opts.Subjects.Endpoint(contract.Auth, "login"), request)
	if err != nil {
		return nil, fmt.Errorf("%w: auth service: %w", session.ErrUnavailable, err)
	}
	return reply.Data, nil
}
