package gatewayd_test

import (
	"bytes"
	"encoding/json"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

// incoming is an event that a client was sent, without the offset at its end.
type incoming struct {
	*socketio.Packet
	offset string // what the client says when it comes back; "" if the event has none
}

// incoming takes the offset off an event. A gateway with recovery puts it on each that wants no ack, as its last
// argument, and on no other; Socket.IO's own does so, too (socket.io-adapter: SessionAwareAdapter.broadcast), but not on
// volatile ones, of which the client then takes any last string for it (socket.io-client: Socket.emitEvent). It never
// goes back: the client would get again what it had. Every test that reads events checks this.
func (s *socket) incoming(p *socketio.Packet) *incoming {
	if !s.g.keeps || p.HasID {
		return &incoming{Packet: p}
	}
	var array []json.RawMessage
	var offset, epoch string
	var at uint64
	err := json.Unmarshal(p.Data, &array)
	if err == nil && len(array) > 1 {
		err = json.Unmarshal(array[len(array)-1], &offset)
	}
	if err == nil {
		epoch, at, err = contract.SplitMessageID(offset)
	}
	if err != nil {
		s.t.Errorf("the gateway sent %s, whose last argument is no offset: %v", p.Data, err)
		return &incoming{Packet: p}
	}
	if epoch == s.epoch && at < s.at {
		s.t.Errorf("the gateway sent %s after the offset %d", p.Data, s.at)
	}
	s.epoch, s.at = epoch, at
	p.Data = append(bytes.TrimSuffix(p.Data, []byte(","+quote(offset)+"]")), ']')
	return &incoming{p, offset}
}
