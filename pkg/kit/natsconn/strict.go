package natsconn

import (
	"net"

	"github.com/nats-io/nats.go"
)

// strict is a connection that ends with the first write that fails. A write to a server that stands still fails when its time is
// over, and nats.go then drops what it had to say and goes on: the server would never hear of subscriptions that were made meanwhile. On a
// connection that is made anew all are said again.
type strict struct{ net.Conn }

func (s strict) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if err != nil {
		_ = s.Close() // the write's error says more
	}
	return n, err
}

type strictDialer struct{ nats.CustomDialer }

func (d strictDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.CustomDialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return strict{conn}, nil
}

type strictProvider struct{ nats.InProcessConnProvider }

func (p strictProvider) InProcessConn() (net.Conn, error) {
	conn, err := p.InProcessConnProvider.InProcessConn()
	if err != nil {
		return nil, err
	}
	return strict{conn}, nil
}

// strictWrites is an option that comes after those that say how to connect.
func strictWrites(o *nats.Options) error {
	if o.InProcessServer != nil {
		o.InProcessServer = strictProvider{o.InProcessServer}
	}
	if o.CustomDialer == nil {
		o.CustomDialer = &net.Dialer{Timeout: o.Timeout}
	}
	o.CustomDialer = strictDialer{o.CustomDialer}
	return nil
}
