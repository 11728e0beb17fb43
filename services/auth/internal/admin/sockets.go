package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
	"github.com/natter-io/natter/services/auth/internal/reply"
	"github.com/natter-io/natter/services/auth/internal/users"
)

const (
	// listTimeout is how long all gateways together may take to say which sockets they have.
	listTimeout = 2 * time.Second
	// gatewayTimeout is what each is told, so that its answer comes in time.
	gatewayTimeout = listTimeout * 3 / 4
	// listAtOnce is how many namespaces are asked for at a time.
	listAtOnce = 8
)

// socket is one in the list.
type socket struct {
	Namespace string    `json:"namespace"`
	ID        string    `json:"id"`
	User      string    `json:"user,omitempty"`
	Name      string    `json:"name,omitempty"`
	Rooms     []string  `json:"rooms"`
	Address   string    `json:"address"`
	Connected time.Time `json:"connected"`
}

// socketList is the ack of "list sockets".
type socketList struct {
	OK      bool              `json:"ok"`
	Sockets []json.RawMessage `json:"sockets"`
	// Complete is false when a gateway did not answer in time, or when there are more sockets than fit into
	// one message.
	Complete bool `json:"complete"`
}

func (a *Admin) listSockets(ctx context.Context, _ string, args []json.RawMessage) (any, error) {
	if err := count(args, 0); err != nil {
		return nil, err
	}
	namespaces, err := users.Namespaces(ctx, a.js, a.subjects)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	var mu sync.Mutex
	var all []socket
	complete := true
	slots := make(chan struct{}, listAtOnce)
	var wg sync.WaitGroup
	for _, ns := range namespaces {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := a.inNamespace(ctx, ns, func(s socket) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, s)
			})
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				complete = false
			}
		})
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b socket) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.ID, b.ID))
	})
	list, err := fit(all, a.nc.MaxPayload()*3/4) // the rest is for what stands around them
	if err != nil {
		return nil, err
	}
	return socketList{OK: true, Sockets: list, Complete: complete && len(list) == len(all)}, nil
}

// inNamespace hands each socket of a namespace to add, as gateways answer. Its errors are those of
// [gather.All].
func (a *Admin) inNamespace(ctx context.Context, namespace string, add func(socket)) error {
	subject, err := a.subjects.To(contract.List, namespace, contract.All())
	if err != nil {
		return err
	}
	request := nats.NewMsg(subject)
	request.Header.Set(contract.HeaderTimeout, gatewayTimeout.String())
	return gather.All(ctx, a.nc, request, func(answer *nats.Msg) error {
		var infos []contract.SocketInfo
		if err := json.Unmarshal(answer.Data, &infos); err != nil {
			return fmt.Errorf("an answer on %s: %w", subject, err)
		}
		for _, i := range infos {
			rooms := i.Rooms
			if rooms == nil {
				rooms = []string{}
			}
			add(socket{
				Namespace: cmp.Or(i.Namespace, namespace), ID: i.ID, User: i.User, Name: i.Name, Rooms: rooms,
				Address: i.Handshake.Address, Connected: i.Handshake.Time.UTC(),
			})
		}
		return nil
	})
}

// fit encodes as many sockets as have room in so many bytes.
func fit(all []socket, size int64) ([]json.RawMessage, error) {
	list := make([]json.RawMessage, 0, len(all))
	for _, s := range all {
		text, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("writing a socket: %w", err)
		}
		if size -= int64(len(text)) + 1; size < 0 {
			break
		}
		list = append(list, text)
	}
	return list, nil
}

func (a *Admin) disconnectSocket(ctx context.Context, by string, args []json.RawMessage) (any, error) {
	var r struct {
		Namespace string `json:"namespace"`
		ID        string `json:"id"`
	}
	if err := only(args, &r); err != nil {
		return nil, err
	}
	if !contract.IsSocketID(r.ID) {
		return nil, reply.Invalid("the field id must be the id of a socket")
	}
	namespaces, err := users.Namespaces(ctx, a.js, a.subjects)
	if err != nil {
		return nil, err
	}
	known := func(name string) bool { return name == r.Namespace || contract.MatchNamespace(name, r.Namespace) }
	if !slices.ContainsFunc(namespaces, known) {
		return nil, &reply.NotFoundError{What: "namespace of this name"}
	}
	return object{"ok": true}, users.Disconnect(ctx, a.js, a.subjects, r.Namespace, r.ID, by)
}
