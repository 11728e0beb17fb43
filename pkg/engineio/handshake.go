package engineio

import (
	"encoding/json"
	"fmt"
	"time"
)

// Handshake is the data of the open packet (protocol section "Handshake").
type Handshake struct {
	SID          string        // session id
	Upgrades     []string      // transports that the client may upgrade to; nil is sent as []
	PingInterval time.Duration // sent in milliseconds
	PingTimeout  time.Duration // sent in milliseconds
	MaxPayload   int64         // bytes that the client may send in one payload or frame
}

type handshakeJSON struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int64    `json:"pingInterval"`
	PingTimeout  int64    `json:"pingTimeout"`
	MaxPayload   int64    `json:"maxPayload"`
}

// AppendOpen appends the open packet for h: "0" and its JSON.
func AppendOpen(dst []byte, h Handshake) []byte {
	j := handshakeJSON{h.SID, h.Upgrades, h.PingInterval.Milliseconds(), h.PingTimeout.Milliseconds(), h.MaxPayload}
	if j.Upgrades == nil {
		j.Upgrades = []string{}
	}
	data, err := json.Marshal(j)
	if err != nil {
		panic("engineio: strings and integers must encode: " + err.Error())
	}
	return Append(dst, Packet{Type: Open, Data: data})
}

// DecodeOpen decodes the data of an open packet, as a client receives it.
func DecodeOpen(data []byte) (Handshake, error) {
	var j handshakeJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return Handshake{}, fmt.Errorf("engineio: decode handshake: %w", err)
	}
	const maxMillis = int64(1<<63-1) / int64(time.Millisecond)
	if j.PingInterval < 0 || j.PingInterval > maxMillis || j.PingTimeout < 0 || j.PingTimeout > maxMillis {
		return Handshake{}, fmt.Errorf("engineio: decode handshake: pingInterval %d or pingTimeout %d out of range", j.PingInterval, j.PingTimeout)
	}
	return Handshake{
		SID:          j.SID,
		Upgrades:     j.Upgrades,
		PingInterval: time.Duration(j.PingInterval) * time.Millisecond,
		PingTimeout:  time.Duration(j.PingTimeout) * time.Millisecond,
		MaxPayload:   j.MaxPayload,
	}, nil
}
