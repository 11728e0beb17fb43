package gatewayd_test

import (
	"strings"
	"testing"

	ws "github.com/gorilla/websocket"
)

// FuzzFramesHarmNobodyElse sends any two frames from a client that is in two namespaces: it may lose its
// connection, its neighbour notices nothing.
func FuzzFramesHarmNobodyElse(f *testing.F) {
	for _, seed := range []string{
		`42["chat message","x"]`, `420["join","red"]`, `42["room message","red",1]`, `42["who","red"]`, `42/bare,1["x"]`, `43[]`, `41`, `40/bare,{}`,
		`451-["x",{"_placeholder":true,"num":0}]`, `461-0[{"_placeholder":true,"num":0}]`, `42["history",{"room":"red"}]`, `42["typing","red"]`,
		`44{}`, `2`, `3`, `1`, `6`, ``, `4`, `42[{}]`, `42["error"]`, `450-`, `42/a,["x"]`, `40{"token":{}}`, "\xff", `42["\ud800"]`, `42["leave",null]`,
		`40/told,{"pid":"` + strings.Repeat("x", 40) + `","offset":"a-1"}`, `40/told,{"pid":1,"offset":{}}`, `40/told,{"pid":"","offset":""}`,
	} {
		f.Add([]byte(seed), []byte(`42["typing","red"]`), false)
		f.Add([]byte(seed), []byte{0, 1}, true)
	}
	d := deploy(silent{f})
	g := d.gateway()
	neighbour := g.connect()
	neighbour.join("red")
	f.Fuzz(func(t *testing.T, first, second []byte, binary bool) {
		d.t, g.t, neighbour.t = t, t, t
		conn, _, err := ws.DefaultDialer.Dial(g.url("ws", engineQuery+"websocket"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		kind := ws.TextMessage
		if binary {
			kind = ws.BinaryMessage
		}
		for _, frame := range []struct {
			kind int
			data []byte
		}{{ws.TextMessage, []byte("40")}, {ws.TextMessage, []byte("40/bare,")}, {ws.TextMessage, first}, {kind, second}} {
			if conn.WriteMessage(frame.kind, frame.data) != nil {
				break // closed meanwhile
			}
		}
		neighbour.wantAlive()
		neighbour.heard()
	})
}
