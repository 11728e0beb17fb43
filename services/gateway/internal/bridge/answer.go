package bridge

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// partRoom is what an answer's headers may take of max_payload, beside the list of gateways.
const partRoom = 1024

// answer replies with the elements as a JSON array, in as many parts as NATS's max_payload asks for. Elements that are
// nil or fit no message are left out; the answer says how many.
func (b *Bridge) answer(msg *nats.Msg, p contract.Parsed, elements []json.RawMessage, header ...string) {
	if id := p.Target.Socket(); id != "" && len(elements) == 0 && b.sessions.elsewhere(id) {
		return // its holder hears this, too
	}
	gateways, peers := 1, "" // its holder alone hears what is for one socket
	if p.Target.Socket() == "" {
		others, met := b.gateways.others()
		if !met {
			return // this one is just starting: it has nobody's answer, and cannot say whose others there will be
		}
		gateways, peers = len(others)+1, contract.FormatPeers(others)
	}
	parts, leftOut := inParts(elements, int(b.nc.MaxPayload())-partRoom-len(peers))
	if leftOut > 0 {
		b.opts.Metrics.Dropped("answer over max_payload")
		b.often(&b.lately.answer, "what is larger than max_payload was left out of an answer, which says so", "subject", msg.Subject, "elements", leftOut)
		header = append(header, contract.HeaderLeftOut, strconv.Itoa(leftOut))
	}
	for i, data := range parts {
		reply := &nats.Msg{Subject: msg.Reply, Data: data, Header: nats.Header{
			contract.HeaderGateway:  {b.opts.Gateway},
			contract.HeaderGateways: {strconv.Itoa(gateways)},
		}}
		if peers != "" {
			reply.Header.Set(contract.HeaderPeers, peers)
		}
		if len(parts) > 1 {
			reply.Header.Set(contract.HeaderPart, fmt.Sprintf("%d/%d", i+1, len(parts)))
		}
		for i := 0; i+1 < len(header); i += 2 {
			reply.Header.Set(header[i], header[i+1])
		}
		b.respond(reply)
	}
}

// inParts makes JSON arrays of at most so many bytes, at least one.
func inParts(elements []json.RawMessage, limit int) (parts [][]byte, leftOut int) {
	part := []byte{'['}
	for _, e := range elements {
		if e == nil || len(e) > limit-2 {
			leftOut++
			continue
		}
		if len(part) > 1 && len(part)+len(e)+2 > limit {
			parts = append(parts, append(part, ']'))
			part = []byte{'['}
		}
		if len(part) > 1 {
			part = append(part, ',')
		}
		part = append(part, e...)
	}
	return append(parts, append(part, ']')), leftOut
}

// refuse answers a request that is malformed, or cannot be answered now.
func (b *Bridge) refuse(msg *nats.Msg, code string, reason error) {
	b.skip("request", msg.Subject, 0, reason)
	data, err := json.Marshal(contract.Refuse(code, reason.Error()))
	if err != nil {
		return
	}
	b.respond(&nats.Msg{Subject: msg.Reply, Data: data, Header: nats.Header{
		contract.HeaderError:    {code},
		contract.HeaderGateway:  {b.opts.Gateway},
		contract.HeaderGateways: {strconv.Itoa(max(1, b.gateways.count()))},
	}})
}

func (b *Bridge) respond(reply *nats.Msg) {
	if err := b.nc.PublishMsg(reply); err != nil {
		b.opts.Log.Warn("an answer could not be sent", "error", err)
	}
}
