package gatewayd_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// action is what a step of a scripted client does.
type action string

const (
	doGet    action = "get"    // an HTTP request without a body: the handshake, or a poll that is read in the background
	doPost   action = "post"   // an HTTP request with the data as its body
	doDial   action = "dial"   // a WebSocket handshake
	doFrame  action = "frame"  // a WebSocket message on the newest WebSocket
	doAwait  action = "await"  // waits for a packet that begins with the data, polling for it if need be
	doHangUp action = "hangup" // closes every network connection
	doAfresh action = "afresh" // hangs up and forgets the session, to begin another one
	doStream action = "stream" // opens a WebTransport session and its stream
	doPacket action = "packet" // a packet on the newest of these
)

// step is one thing that a scripted client does. In query and data, {sid} is the session's id, {id} that of the first
// socket in the main namespace, {pid} its private one, {first} and {offset} are the first and the last offset that came, and
// {epoch} is what offsets begin with.
type step struct {
	do     action
	at     int    // which of the gateways, for requests
	method string // in place of the action's own
	query  string // of requests
	data   string
	binary bool // of frames and packets
	words  bool // in the words of the msgpack parser, which the data is put into
	fault  fault
}

// fault is what is wrong with how a step's bytes are written. The zero value is nothing.
type fault struct {
	cut       int   // hang up after so many bytes
	flips     []int // bits to flip, modulo their number
	pieces    int   // size of the writes
	announced int64 // the length that is said to follow, in place of the true one
	fragments int   // size of the fragments of a message
	pings     int   // control frames before the message
	bits      byte  // exclusive-or into a frame's first byte: reserved bits, opcode
	unmasked  bool
	fields    int // further header fields of a request
}

func (f fault) none() bool { return fmt.Sprint(f) == fmt.Sprint(fault{}) }

// script is a session from its beginning to its end.
type script []step

func (s script) clone() script { return slices.Clone(s) }

// String writes a step on a line, for whoever reads a failure.
func (s script) String() string {
	var b strings.Builder
	for _, st := range s {
		fmt.Fprintf(&b, "  %s", st.do)
		if st.query != "" || st.method != "" || st.at != 0 {
			fmt.Fprintf(&b, " %s gateway %d ?%q", st.method, st.at, st.query)
		}
		if data := st.data; len(data) > 300 {
			fmt.Fprintf(&b, " %q… (%d bytes)", data[:300], len(data))
		} else if data != "" {
			fmt.Fprintf(&b, " %q", data)
		}
		if st.binary {
			b.WriteString(" binary")
		}
		if st.words {
			b.WriteString(" msgpack")
		}
		if !st.fault.none() {
			fmt.Fprintf(&b, " %+v", st.fault)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const (
	pollQuery    = "EIO=4&transport=polling"
	pollSID      = pollQuery + "&sid={sid}"
	webSocket    = "EIO=4&transport=websocket"
	webSocketSID = webSocket + "&sid={sid}"
)

func frames(texts ...string) (s script) {
	for _, t := range texts {
		s = append(s, step{do: doFrame, data: t})
	}
	return s
}

// validScripts are sessions as stock clients have them. Each of them plays to its end undisturbed.
var validScripts = merge(scripts, recoveryScripts, streamScripts, msgpackScripts, revision3Scripts)

func merge(all ...map[string]script) map[string]script {
	merged := map[string]script{}
	for _, some := range all {
		maps.Copy(merged, some)
	}
	return merged
}

var scripts = map[string]script{
	"polling": {
		{do: doGet, query: pollQuery},
		{do: doPost, query: pollSID, data: `40`},
		{do: doAwait, data: `40{"sid"`},
		{do: doPost, query: pollSID, data: `420["chat message","héllo"]` + "\x1e" + `421["join","red"]`},
		{do: doAwait, data: `430[{"ok":true`},
		{do: doAwait, data: `431[{"ok":true`},
		{do: doGet, query: pollSID},
		{do: doPost, query: pollSID, data: `1`},
	},
	"polling over two gateways": {
		{do: doGet, query: pollQuery},
		{do: doPost, at: 1, query: pollSID, data: `40/bare,`},
		{do: doAwait, at: 1, data: `40/bare,{"sid"`},
		{do: doPost, query: pollSID, data: `42/bare,1["echo",{"a":[1,2.5e3,null,true,"\u00e9"]}]`},
		{do: doAwait, at: 1, data: `43/bare,1["echo"]`},
		{do: doPost, at: 1, query: pollSID, data: `1`},
	},
	"polling with attachments": {
		{do: doGet, query: pollQuery},
		{do: doPost, query: pollSID, data: `40/bare,`},
		{do: doAwait, data: `40/bare,{"sid"`},
		{do: doPost, query: pollSID, data: `451-/bare,7["echo",{"_placeholder":true,"num":0}]` + "\x1e" + `bAQIDBA==`},
		{do: doAwait, data: `43/bare,7["echo"]`},
		{do: doPost, query: pollSID, data: `41/bare,`},
		{do: doPost, query: pollSID, data: `1`},
	},
	"websocket": append(script{{do: doDial, query: webSocket}, {do: doAwait, data: `0{`}},
		slices.Concat(frames(`40`), script{{do: doAwait, data: `40{"sid"`}},
			frames(`420["join","red"]`), script{{do: doAwait, data: `430[{"ok":true`}},
			frames(`421["room message","red","hi"]`, `42["typing","red"]`, `422["who","red"]`, `423["history",{"room":"red","limit":5}]`),
			script{{do: doAwait, data: `431[{"ok":true`}, {do: doAwait, data: `432[`}},
			frames(`424["leave","red"]`), script{{do: doAwait, data: `434[{"ok":true`}}, frames(`41`), script{{do: doHangUp}})...),
	"websocket with attachments": append(script{{do: doDial, query: webSocket}},
		slices.Concat(frames(`40/bare,`), script{{do: doAwait, data: `40/bare,{"sid"`}},
			frames(`452-/bare,3["echo",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]`),
			script{{do: doFrame, data: "\x00\x01\x02", binary: true}, {do: doFrame, data: strings.Repeat("\xff", 3000), binary: true}},
			script{{do: doAwait, data: `43/bare,3["echo"]`}})...),
	"websocket of text alone": append(script{{do: doDial, query: webSocket + "&b64=1"}},
		slices.Concat(frames(`40/bare,`), script{{do: doAwait, data: `40/bare,{"sid"`}},
			frames(`461-/bare,9[{"_placeholder":true,"num":0}]`, `bAQI=`, `42/bare,4["echo"]`), script{{do: doAwait, data: `43/bare,4["echo"]`}})...),
	"namespaces": append(script{{do: doDial, at: 1, query: webSocket}},
		slices.Concat(frames(`40`, `40/told,`, `40/bare,{"name":"Ann"}`, `40/guarded,{"token":"t"}`, `40/unknown,`),
			script{{do: doAwait, data: `40/told,{"sid"`}, {do: doAwait, data: `40/guarded,{"sid"`}, {do: doAwait, data: `44/unknown,`}, {do: doAwait, data: `40/bare,{"sid"`}},
			frames(`42/told,1["join","blue"]`, `42/guarded,2["echo",1]`, `43/bare,5["late"]`), script{{do: doAwait, data: `43/told,1[`}, {do: doAwait, data: `43/guarded,2["echo"]`}},
			frames(`41/told,`, `40/told,`), script{{do: doAwait, data: `40/told,{"sid"`}})...),
	"upgrade": append(script{
		{do: doGet, query: pollQuery},
		{do: doPost, query: pollSID, data: `40`},
		{do: doAwait, data: `40{"sid"`},
		{do: doDial, query: webSocketSID},
		{do: doFrame, data: `2probe`},
		{do: doAwait, data: `3probe`},
	}, slices.Concat(frames(`5`, `420["join","red"]`, `421["room message","red",{"n":1}]`),
		script{{do: doAwait, data: `431[{"ok":true`}, {do: doHangUp}})...),
	"upgrade at another gateway": append(script{
		{do: doGet, query: pollQuery},
		{do: doDial, at: 1, query: webSocketSID},
		{do: doFrame, data: `2probe`},
		{do: doPost, query: pollSID, data: `40/bare,`},
		{do: doAwait, data: `3probe`},
	}, slices.Concat(frames(`5`), script{{do: doAwait, data: `40/bare,{"sid"`}},
		frames(`42/bare,1["echo"]`), script{{do: doAwait, data: `43/bare,1["echo"]`}})...),
	"heartbeat": append(script{{do: doDial, query: webSocket}},
		slices.Concat(frames(`40`), script{{do: doAwait, data: `40{"sid"`}, {do: doAwait, data: `2`}},
			frames(`3`, `420["join","red"]`), script{{do: doAwait, data: `430[`}})...),
}

// scriptNames has the names in a fixed order, so that a seed always means the same.
var scriptNames = func() (names []string) {
	for name := range validScripts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}()
