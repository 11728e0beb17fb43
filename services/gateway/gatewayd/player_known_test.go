package gatewayd_test

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/pkg/socketio"
)

// known is what a player says again later. See step.
type known struct {
	sid, id, pid, first, offset, epoch string
}

var offsetAtEnd = regexp.MustCompile(`^42.*"(([a-z0-9]+)-[0-9]+)"\]$`)

// note keeps what is in a packet that came.
func (k *known) note(packet string) {
	switch {
	case strings.HasPrefix(packet, "0") && k.sid == "":
		if h, err := engineio.DecodeOpen([]byte(packet[1:])); err == nil {
			k.sid = h.SID
		}
	case strings.HasPrefix(packet, "40{") && k.pid == "":
		var answer struct{ SID, PID string }
		if json.Unmarshal([]byte(packet[2:]), &answer) == nil {
			k.id, k.pid = answer.SID, answer.PID
		}
	default:
		if found := offsetAtEnd.FindStringSubmatch(packet); found != nil {
			k.offset, k.epoch = found[1], found[2]
			if k.first == "" {
				k.first = k.offset
			}
		}
	}
}

func (k *known) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	return strings.NewReplacer("{sid}", k.sid, "{id}", k.id, "{pid}", k.pid, "{first}", k.first, "{offset}", k.offset, "{epoch}", k.epoch).Replace(text)
}

// spell is what a step writes: its data, or the frame that says it in the words of the msgpack parser. What is no packet of
// the default parser is written as it stands.
func (p *player) spell(st step) (data string, binary bool) {
	data = p.fill(st.data)
	if !st.words {
		return data, st.binary
	}
	if text, ok := strings.CutPrefix(data, "4"); ok {
		var d socketio.Decoder
		if packet, err := d.Text([]byte(text)); err == nil && packet != nil {
			if frame, err := msgpackFrame(packet); err == nil {
				return string(frame), true
			}
		}
	}
	return data, !st.binary && !isControl(data)
}

// isControl says whether data is a packet of Engine.IO that carries no message.
func isControl(data string) bool {
	return len(data) > 0 && data[0] != '4' && data[0] >= '0' && data[0] <= '6'
}

// plain is a packet of a gateway with the msgpack parser in the words of the default one.
func plain(frame []byte) string {
	d := socketio.MsgpackDecoder{FromServer: true}
	packet, err := d.Decode(frame)
	if err != nil {
		return "(no packet: " + err.Error() + ")"
	}
	return "4" + string(packet.Append(nil))
}

// payload are the packets in the answer to a poll.
func (p *player) payload(st step, body string) (packets []string) {
	if strings.Contains(st.query, "EIO=3") {
		for packet, err := range engineio.PacketsV3([]byte(body), strings.HasPrefix(body, "\x00"), engineio.DefaultMaxPackets) {
			if err != nil {
				break
			}
			packets = append(packets, string(engineio.AppendTextV3(nil, packet)))
		}
		return packets
	}
	for packet := range strings.SplitSeq(body, "\x1e") {
		if encoded, ok := strings.CutPrefix(packet, "b"); ok && p.msgpack {
			if frame, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				packet = plain(frame)
			}
		}
		packets = append(packets, packet)
	}
	return packets
}
