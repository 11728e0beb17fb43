package provision

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Direct reads one message of a stream, as the request in JSON says (NATS ADR-31); nil if there is none, or if the replica that answers does not
// have it yet.
func Direct(ctx context.Context, nc *nats.Conn, stream string, request []byte) (*nats.Msg, error) {
	msg, err := nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, request)
	if err != nil {
		return nil, fmt.Errorf("reading stream %s: %w: may the NATS user publish on $JS.API.DIRECT.GET.%s?", stream, err, stream)
	}
	switch status := msg.Header.Get("Status"); status {
	case "":
		return msg, nil
	case "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("reading stream %s: %s %s", stream, status, msg.Header.Get("Description"))
	}
}
