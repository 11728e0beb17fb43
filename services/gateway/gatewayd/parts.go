package gatewayd

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/gateway/internal/bridge"
	"github.com/natter-io/natter/services/gateway/internal/carry"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/session"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// parts are what a gateway consists of.
type parts struct {
	hub       *hub.Hub[*session.Socket]
	bridge    *bridge.Bridge
	carry     *carry.Carrier
	transport *transport.Server
	handler   http.Handler
}

// hubQueue is how many deliveries wait for one worker before the reader of the subscriptions waits.
const hubQueue = 1024

// Bounds of what waits inside the bridge.
const (
	subscriptionQueue = 64 << 10
	maxPendingReplies = 256 << 10
	maxAsk            = time.Minute
)

// storage is how the gateway's streams are kept.
func (s *Service) storage() provision.Storage {
	return provision.Storage{
		Replicas: s.cfg.Replicas, MaxBytes: int64(s.cfg.StreamMaxBytes), MaxMessage: int32(s.cfg.StreamMaxMessage), Log: s.log,
	}
}

func (s *Service) assemble(nc *nats.Conn) (*parts, error) {
	workers := s.cfg.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	namespaces, builtIn := s.cfg.namespaces()
	p := &parts{hub: hub.New[*session.Socket](workers, hubQueue)}
	m := newMetrics(s.health.Registry(),
		func() float64 { return float64(p.transport.Len()) },
		func() float64 { return float64(p.hub.Len()) })

	var sessions *session.Server
	var err error
	p.bridge, err = bridge.New(nc, p.hub, func() uint64 { return sessions.NextAck() }, bridge.Options{
		Gateway:    s.id,
		FreshID:    s.cfg.GatewayID == "",
		Subjects:   s.subjects,
		Namespaces: namespaces,
		BuiltIn:    builtIn,
		Unique:     s.cfg.GatewayID == "",
		Storage:    s.storage(),
		StreamAge:  s.cfg.streamAge(),
		Duplicates: s.cfg.duplicates(),
		Recovery:   s.cfg.Recovery,
		Window:     s.cfg.RecoveryWindow,
		Lease:      s.cfg.Lease,
		Linger:     s.cfg.RoomLinger,
		AckTimeout: s.cfg.AckTimeout,
		MaxAsk:     maxAsk,
		Queue:      subscriptionQueue,
		MaxPending: maxPendingReplies,
		Parser:     parser.ByName(s.cfg.Parser),
		Log:        s.log,
		Metrics:    m,
	})
	if err != nil {
		p.hub.Close()
		return nil, err
	}
	sessions = session.NewServer(session.Options{
		Gateway:            s.id,
		ConnectTimeout:     s.cfg.ConnectTimeout,
		MaxNamespaces:      s.cfg.MaxNamespaces,
		MaxPendingAcks:     s.cfg.MaxPendingAcks,
		MaxRooms:           s.cfg.MaxRooms,
		StreamAge:          s.cfg.streamAge(),
		Recovery:           s.cfg.Recovery,
		MaxHeld:            s.cfg.MaxQueueMessages,
		MaxHeldBytes:       int(s.cfg.MaxQueueBytes),
		MaxAttachmentBytes: int(s.cfg.MaxHTTPBufferSize) * contract.MaxAttachments,
		Parser:             parser.ByName(s.cfg.Parser),
		Log:                s.log,
		Metrics:            m,
	}, p.hub, p.bridge)
	o := s.cfg.transport()
	o.Oversize = func() { m.Malformed("too large") }
	o.Log = s.log
	p.carry = carry.New(nc, carry.Options{
		Gateway: s.id, Subjects: s.subjects, Max: s.cfg.MaxCarried, Silence: s.cfg.Lease, Alive: p.bridge.Alive,
		Log: s.log, Metrics: m,
	})
	o.Name = s.id
	if s.cfg.AllowRequest != "" {
		o.AllowRequest = p.allowRequest(s.cfg.AllowRequest)
	}
	if s.cfg.MaxCarried > 0 {
		o.Carrier = p.carry
	}
	if p.transport, err = transport.New(o, sessions.Accept); err != nil {
		p.hub.Close()
		return nil, err
	}
	p.handler = boundBody(s.routes(p), s.cfg.bodyTimeout())
	s.health.SetCheck("streams", p.bridge.Ready)
	return p, nil
}

// allowRequest asks the service of the name whether a client may connect.
func (p *parts) allowRequest(name string) func(context.Context, *transport.Request) error {
	return func(ctx context.Context, r *transport.Request) error {
		a, err := p.bridge.Allow(ctx, name, contract.AllowRequest{Handshake: session.Handshake(r, nil)})
		if err == nil && !a.OK {
			return transport.Refusal(a.Message)
		}
		return err
	}
}
