package api

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/admin"
	"github.com/natter-io/natter/services/auth/internal/reply"
)

// adminNamespace is the namespace whose events are answered here. Who may enter it is the gateways'
// configuration: its middleware and the role admin.
const adminNamespace = "/admin"

// adminEndpoints answer the events of the namespace /admin: natter.on.admin.<event>.<gateway>.<id>, on which
// only gateways may publish. The header says which user it was.
func adminEndpoints(s contract.Subjects, a *admin.Admin) ([]endpoint, error) {
	var endpoints []endpoint
	for event, handle := range a.Events() {
		subject, err := s.OnAny(adminNamespace, event)
		if err != nil {
			return nil, err
		}
		endpoints = append(endpoints, endpoint{
			name: "admin-" + strings.ReplaceAll(event, " ", "-"), subject: subject, workers: 2, queue: 64, timeout: 10 * time.Second, ack: true,
			answer: func(ctx context.Context, r micro.Request) (any, error) {
				args, err := eventArguments(r)
				if err != nil {
					return nil, err
				}
				return handle(ctx, contract.Last(contract.Header(r.Headers()), contract.HeaderUser), args)
			},
		})
	}
	return endpoints, nil
}

// eventArguments are what the client said behind the event's name.
func eventArguments(r micro.Request) ([]json.RawMessage, error) {
	text, _, err := contract.SplitPayload(contract.Header(r.Headers()), r.Data())
	if err != nil {
		return nil, reply.Invalid("the event's attachments cannot be read")
	}
	var event []json.RawMessage
	if err := json.Unmarshal(text, &event); err != nil || len(event) == 0 {
		return nil, reply.Invalid("the event is not a JSON array that begins with its name")
	}
	return event[1:], nil
}
