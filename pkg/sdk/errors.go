package sdk

import (
	"cmp"
	"errors"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
)

var (
	// ErrNoGateway says that no gateway listens, or that the gateway of the one socket asked is gone.
	ErrNoGateway = gather.ErrNoGateway
	// ErrTimeout says that the time was over before everything had come. The answers that came are returned
	// beside it.
	ErrTimeout = errors.New("timed out")
	// ErrLeftOut says that a gateway left something out of its answer, since it alone is larger than NATS's max_payload: a
	// socket with a very large handshake, or an ack. The rest is returned beside it.
	ErrLeftOut = errors.New("larger than max_payload")
	// ErrNoSocket says that a socket is not there: its client is gone, or its gateway.
	ErrNoSocket = errors.New("no such socket")
	// ErrDataElsewhere says that a socket's data are too large to come with its events, over contract.MaxDataHeader bytes:
	// [Socket.Fetch] has them.
	ErrDataElsewhere = contract.ErrDataElsewhere
	// ErrNoAuth says that services are not told what clients give as auth, since the namespace's configuration does not have
	// HandshakeAuth: it holds what proves who they are.
	ErrNoAuth = errors.New("services are not told auth (handshakeAuth) in the namespace")
	// ErrNoStream says that the stream of emits does not exist. A gateway makes it when it starts.
	ErrNoStream = errors.New("no stream for emits")
	// ErrNotStored says that JetStream did not confirm a message. It may or may not have been stored; to say
	// it again without the risk of saying it twice, give it an id: [Broadcast.ID].
	ErrNotStored = errors.New("not confirmed as stored")
	// ErrUnknownID says that a post was stored, and that its id could not be learned. Clients hear it and history keeps it: it must
	// not be said again, unless with the id that it was given: [Broadcast.ID].
	ErrUnknownID = errors.New("stored, but its id is unknown")
	// ErrReservedEvent says that an event's name belongs to Socket.IO itself.
	ErrReservedEvent = errors.New("reserved event name")
	// ErrTooManyAttachments says that an event has more binary arguments than clients accept.
	ErrTooManyAttachments = errors.New("too many binary attachments")
	// ErrDataTooLarge says that a socket's data have more than contract.MaxData bytes as JSON.
	ErrDataTooLarge = errors.New("data too large")
	// ErrVolatile says that an operation that is stored was asked for on a volatile broadcast.
	ErrVolatile = errors.New("volatile messages are not stored")
	// ErrOrdered says that another service takes the sockets of a namespace. One alone can; the others hear its events as
	// those of any namespace, without Ordered.
	ErrOrdered = errors.New("another service takes the sockets of the namespace")
	// ErrStopped says that a server that was stopped cannot be started again.
	ErrStopped = errors.New("server was stopped")
	// ErrStillRunning says that handlers had not returned when the time to stop was over.
	ErrStillRunning = errors.New("handlers still running")
)

// Refusal is an error that is meant for the client: final, and with a message that is safe to show.
//
// A middleware that returns one makes the client's connect_error, with message and data. A handler that
// returns one acks {"ok":false,"code":…,"message":…}, with "data" if there is any. Any other error stays
// inside: it is logged, and the client hears nothing, unless [Options.ErrorDetail].
type Refusal struct {
	Code    string // one of the contract's codes, such as contract.CodeInvalid; "": contract.CodeForbidden
	Message string
	Data    any   // encoded as JSON; nil for none
	cause   error // for the log
}

// Refuse makes a [Refusal] with the code contract.CodeForbidden.
func Refuse(message string, data any) error {
	return &Refusal{Code: contract.CodeForbidden, Message: message, Data: data}
}

func (r *Refusal) Error() string {
	if r.cause != nil {
		return r.Code + ": " + r.Message + ": " + r.cause.Error()
	}
	return r.Code + ": " + r.Message
}

func (r *Refusal) Unwrap() error { return r.cause }

// ack is what a handler's refusal looks like to the client.
func (r *Refusal) ack() Ack {
	return Ack{struct {
		contract.Refusal
		Data any `json:"data,omitempty"`
	}{contract.Refuse(cmp.Or(r.Code, contract.CodeForbidden), r.Message), r.Data}}
}
