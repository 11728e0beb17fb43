package gather

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway answers every request with the parts, saying that there are so many gateways.
func gateway(t *testing.T, nc *nats.Conn, id string, gateways int, parts ...string) {
	t.Helper()
	gatewayWith(t, nc, id, nil, gateways, parts...)
}

// gatewayWith also names its peers.
func gatewayWith(t *testing.T, nc *nats.Conn, id string, peers []string, gateways int, parts ...string) {
	t.Helper()
	_, err := nc.Subscribe("natter.list._.all", func(m *nats.Msg) {
		for i, part := range parts {
			reply := nats.NewMsg(m.Reply)
			reply.Data = []byte(part)
			reply.Header.Set(contract.HeaderGateway, id)
			reply.Header.Set(contract.HeaderGateways, strconv.Itoa(gateways))
			if len(peers) > 0 {
				reply.Header.Set(contract.HeaderPeers, contract.FormatPeers(peers))
			}
			if len(parts) > 1 {
				reply.Header.Set(contract.HeaderPart, fmt.Sprintf("%d/%d", i+1, len(parts)))
			}
			if err := m.RespondMsg(reply); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, nc *nats.Conn, timeout time.Duration) (heard map[string]int, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	heard = make(map[string]int)
	err = All(ctx, nc, nats.NewMsg("natter.list._.all"), func(m *nats.Msg) error {
		heard[string(m.Data)]++
		return nil
	})
	return heard, err
}

func TestEveryPartOfEveryGateway(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	gateway(t, nc, "a", 2, "a1", "a2", "a3")
	gateway(t, nc, "b", 2, "b1")
	heard, err := all(t, nc, 10*time.Second)
	if err != nil || len(heard) != 4 {
		t.Errorf("heard %v, %v", heard, err)
	}
}

func TestIncomplete(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	gateway(t, nc, "a", 2, "a1")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	heard := make(map[string]int)
	err := All(ctx, nc, nats.NewMsg("natter.list._.all"), func(m *nats.Msg) error {
		heard[string(m.Data)]++
		cancel() // nothing more will come
		return nil
	})
	if !errors.Is(err, ErrIncomplete) || heard["a1"] != 1 {
		t.Errorf("heard %v, %v; want what there is and ErrIncomplete", heard, err)
	}
}

func TestNobody(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	if heard, err := all(t, nc, 10*time.Second); !errors.Is(err, ErrNoGateway) {
		t.Errorf("heard %v, %v; want ErrNoGateway", heard, err)
	}
}

func TestAnswersOutsideTheContract(t *testing.T) {
	for name, c := range map[string]struct {
		header nats.Header
		want   error
	}{
		"refusal":          {nats.Header{contract.HeaderError: {contract.CodeInvalid}}, ErrRefused},
		"no headers":       {nil, contract.ErrBadHeader},
		"no gateways":      {nats.Header{contract.HeaderGateway: {"a"}, contract.HeaderGateways: {"0"}}, contract.ErrBadHeader},
		"a bad peer":       {nats.Header{contract.HeaderGateway: {"a"}, contract.HeaderGateways: {"2"}, contract.HeaderPeers: {"b,>"}}, contract.ErrBadHeader},
		"parts of nothing": {nats.Header{contract.HeaderGateway: {"a"}, contract.HeaderGateways: {"1"}, contract.HeaderPart: {"1/x"}}, contract.ErrBadHeader},
	} {
		t.Run(name, func(t *testing.T) {
			nc := natstest.Run(t).Connect(t)
			_, err := nc.Subscribe("natter.list._.all", func(m *nats.Msg) {
				if err := m.RespondMsg(&nats.Msg{Header: c.header, Data: []byte("[]")}); err != nil {
					t.Error(err)
				}
			})
			if err == nil {
				err = nc.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := all(t, nc, 10*time.Second); !errors.Is(err, c.want) {
				t.Errorf("%v; want %v", err, c.want)
			}
		})
	}
}
