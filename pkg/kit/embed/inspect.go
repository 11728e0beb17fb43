package embed

import (
	"fmt"
	"math"

	"github.com/nats-io/nats-server/v2/server"
)

// Subscription is one that a client holds.
type Subscription struct {
	Client  string // the connection's name, empty if it has none
	Account string // empty for the default one
	Subject string
	Queue   string // empty if it is in no queue group
}

// Subscriptions lists what the clients connected to this server subscribe to,
// without the server's own.
func (s *Server) Subscriptions() ([]Subscription, error) {
	conns, err := s.srv.Connz(&server.ConnzOptions{
		Subscriptions: true, SubscriptionsDetail: true, Username: true, Limit: math.MaxInt32,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: list connections: %w", err)
	}
	var subs []Subscription
	for _, c := range conns.Conns {
		for _, d := range c.SubsDetail {
			subs = append(subs, Subscription{Client: c.Name, Account: c.Account, Subject: d.Subject, Queue: d.Queue})
		}
	}
	return subs, nil
}
