package gatewayd_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestExactFrames holds a conversation on one WebSocket for each case, and looks at every byte that is not drawn at
// random (Socket.IO protocol v5, sections "Connection to a namespace", "Sending and receiving data", "Disconnection"),
// with connection state recovery and without.
func TestExactFrames(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]struct {
		recovery bool
		ids      string // what a CONNECT is answered
	}{
		"recovery":    {true, `{"sid":"[a-z0-9]+\.[A-Za-z0-9_-]{20}","pid":"[A-Za-z0-9_-]{40}"}$`},
		"no recovery": {false, `{"sid":"[a-z0-9]+\.[A-Za-z0-9_-]{20}"}$`},
	} {
		t.Run(name, func(t *testing.T) { exactFrames(t, g.recovery, g.ids) })
	}
}

func exactFrames(t *testing.T, recovery bool, ids string) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.Recovery = recovery })
	d.admit("/guarded", func(e contract.Entry) string {
		if !strings.Contains(string(e.Handshake.Auth), "open sesame") {
			return `{"ok":false,"message":"not you","data":{"code":7}}`
		}
		return `{"ok":true}`
	})
	d.serve("natter.on.*.echo.>", func(m *nats.Msg) string {
		return "[" + strings.TrimPrefix(strings.TrimPrefix(string(m.Data), `["echo"`), ",")
	})
	if _, err := d.nc.Subscribe("natter.on.*.bytes.>", func(m *nats.Msg) { // gives back what it is given, attachments too
		answer := nats.NewMsg(m.Reply)
		answer.Header.Set(contract.HeaderAttachments, contract.Last(m.Header, contract.HeaderAttachments))
		answer.Data = bytes.Replace(m.Data, []byte(`"bytes",`), nil, 1)
		if err := m.RespondMsg(answer); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	connected := "^40/bare," + ids
	const over = "over"
	for name, c := range map[string][]string{ // what is sent, and with < what must come; with * binary
		"main namespace":                {"40", "<^40" + ids},
		"main namespace with a payload": {`40{"name":"Ann"}`, "<^40" + ids},
		"another namespace":             {"40/bare,", "<" + connected},
		"another namespace, no comma":   {"40/bare", "<" + connected},
		"with a payload":                {`40/guarded,{"token":"open sesame"}`, "<^40/guarded," + ids},
		"refused":                       {`40/guarded,`, `<^44/guarded,{"message":"not you","data":{"code":7}}$`, "40/bare,", "<" + connected},
		"unknown namespace":             {"40/nothing,", `<^44/nothing,{"message":"Invalid namespace"}$`, "40/bare,", "<" + connected},
		"CONNECT without an object":     {"4abc", over},
		"CONNECT with a string":         {`40"x"`, over},
		"no type":                       {"40/bare,", "<" + connected, "4", over},
		"unknown type":                  {"40/bare,", "<" + connected, "4abc", over},
		"payload that is no array":      {"40/bare,", "<" + connected, "42/bare,{}", over},
		"ack id that is no number":      {"40/bare,", "<" + connected, `42/bare,abc["message"]`, over},
		"out and in again":              {"40/bare,", "<" + connected, "41/bare,", "40/bare,", "<" + connected},
		"out of one, still in another":  {"40/bare,", "<" + connected, "40", `<^40{`, "41", `42/bare,1["echo"]`, `<^43/bare,1\[\]$`},
		"event with an ack":             {"40/bare,", "<" + connected, `42/bare,456["echo",1,"2",{"3":[false]}]`, `<^43/bare,456\[1,"2",{"3":\[false\]}\]$`},
		"attachments with an ack": {"40/bare,", "<" + connected, `452-/bare,789["bytes",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, "*\x01\x02", "*\x03",
			`<^462-/bare,789\[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}\]$`, "<\x01\x02", "<\x03"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, r := g.raw(0)
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			for _, line := range c {
				want, incoming := strings.CutPrefix(line, "<")
				if !incoming && line != over {
					data, binary := strings.CutPrefix(line, "*")
					op := byte(opText)
					if binary {
						op = opBinary
					}
					g.write(conn, message(op, data, fault{}))
					continue
				}
				op, data, err := readMessage(r)
				switch {
				case err != nil:
					t.Fatal(err)
				case line == over && op == opClose:
				case line == over || !regexp.MustCompile(want).Match(data):
					t.Fatalf("got %d %q, want %q", op, data, line)
				}
			}
		})
	}
}
