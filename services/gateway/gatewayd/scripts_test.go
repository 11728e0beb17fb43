package gatewayd_test

import (
	"slices"
	"strings"
)

// words puts steps into the words of the msgpack parser, at the gateways that have it.
func words(s script) script {
	s = s.clone()
	for i := range s {
		s[i].at += 2
		s[i].words = s[i].do == doFrame || s[i].do == doPost
	}
	return s
}

// then puts parts together.
func then(parts ...script) script { return slices.Concat(parts...) }

func await(beginning string) script { return script{{do: doAwait, data: beginning}} }

func packets(texts ...string) (s script) {
	for _, t := range texts {
		s = append(s, step{do: doPacket, data: t})
	}
	return s
}

const claim = `40{"pid":"{pid}","offset":"{offset}"}`

// met is a client in a room that has heard something and whose connection broke.
var met = then(script{{do: doDial, query: webSocket}}, frames(`40`), await(`40{"sid"`), frames(`420["join","red"]`, `421["chat message","one"]`), await(`42["chat message"`),
	await(`431[{"ok":true`), script{{do: doAfresh}})

// dialed is a new WebSocket at a gateway, over which something is said.
func dialed(at int, said string) script {
	return script{{do: doDial, at: at, query: webSocket}, {do: doFrame, data: said}}
}

const goesOn = `40{"sid":"{id}","pid":"{pid}"}`

// recoveryScripts are clients that come back, and such that say they do.
var recoveryScripts = map[string]script{
	"back at the other gateway": then(met, dialed(1, claim), await(goesOn), frames(`422["room message","red","two"]`), await(`42["room message","red","two"`), await(`432[{"ok":true`)),
	"back twice":                then(met, dialed(0, claim), await(goesOn), script{{do: doAfresh}}, dialed(1, claim), await(goesOn), frames(`42["typing","red"]`)),
	"back by polling": then(met, script{{do: doGet, at: 1, query: pollQuery}, {do: doPost, query: pollSID, data: claim}, {do: doAwait, at: 1, data: goesOn},
		{do: doPost, at: 1, query: pollSID, data: `41` + "\x1e" + `1`}}),
	"back with what it had long ago": then(met, dialed(0, claim), await(goesOn), frames(`422["chat message","two"]`), await(`42["chat message","two"`), script{{do: doAfresh}},
		dialed(1, `40{"pid":"{pid}","offset":"{first}"}`), await(`42["chat message","two"`), await(goesOn)),
	"back in two places": then(met, dialed(0, claim), dialed(1, claim), await(`40{"sid"`)),
	"back while it is there": then(script{{do: doDial, query: webSocket}}, frames(`40`), await(`40{"sid"`), frames(`421["chat message","one"]`), await(`42["chat message"`),
		dialed(1, claim), await(goesOn)),
	"back with another's secret": then(met, dialed(1, `40{"pid":"`+strings.Repeat("x", 40)+`","offset":"{offset}"}`), await(`40{"sid"`)),
	"back from the future":       then(met, dialed(0, `40{"pid":"{pid}","offset":"{epoch}-18446744073709551615"}`), script{{do: doAfresh}}, dialed(1, `40`), await(`40{"sid"`)),
	"back from another stream":   then(met, dialed(1, `40{"pid":"{pid}","offset":"x{epoch}-1"}`), await(`40{"sid"`)),
	"back without having heard":  then(met, dialed(1, `40{"pid":"{pid}"}`), await(`40{"sid"`)),
	"back with msgpack":          then(met, words(then(dialed(1, claim), await(goesOn), frames(`422["room message","red","two"]`), await(`42["room message","red","two"`)))),
}

// streamScripts are sessions over WebTransport.
var streamScripts = map[string]script{
	"webtransport": then(script{{do: doStream}}, packets(`0`), await(`0{`), packets(`40`), await(`40{"sid"`), packets(`420["join","red"]`, `421["room message","red","hi"]`),
		await(`431[{"ok":true`), packets(`40/bare,`), await(`40/bare,{"sid"`), packets(`451-/bare,7["echo",{"_placeholder":true,"num":0}]`),
		script{{do: doPacket, data: strings.Repeat("\xff", 300), binary: true}}, await(`43/bare,7["echo"]`), packets(`41`), script{{do: doHangUp}}),
	"webtransport upgrade": then(script{{do: doGet, query: pollQuery}, {do: doStream}}, packets(`0{"sid":"{sid}"}`, `2probe`), await(`3probe`), packets(`5`, `40/bare,`),
		await(`40/bare,{"sid"`), packets(`42/bare,1["echo"]`), await(`43/bare,1["echo"]`)),
	"webtransport upgrade at another gateway": then(script{{do: doGet, query: pollQuery}, {do: doStream, at: 1}}, packets(`0{"sid":"{sid}"}`, `2probe`), await(`3probe`),
		packets(`5`, `40/bare,`), await(`40/bare,{"sid"`), packets(`42/bare,1["echo"]`), await(`43/bare,1["echo"]`)),
	"back over webtransport": then(met, script{{do: doStream, at: 1}}, packets(`0`, claim), await(goesOn), packets(`422["leave","red"]`), await(`432[{"ok":true`)),
}

// msgpackScripts are sessions with the msgpack parser.
var msgpackScripts = map[string]script{
	"msgpack": words(then(script{{do: doDial, query: webSocket}}, frames(`40`), await(`40{"sid"`), frames(`420["join","red"]`), await(`430[{"ok":true`),
		frames(`421["room message","red",{"z":[1,-2.5,null,true,"é"]}]`, `422["who","red"]`, `42["typing","red"]`), await(`431[{"ok":true`), await(`432[`), frames(`41`))),
	"msgpack by polling": words(script{{do: doGet, query: pollQuery}, {do: doPost, query: pollSID, data: `40/bare,`}, {do: doAwait, data: `40/bare,{"sid"`},
		{do: doPost, at: 1, query: pollSID, data: `42/bare,1["echo",1]`}, {do: doAwait, at: 1, data: `43/bare,1["echo"]`}, {do: doPost, query: pollSID, data: `41/bare,`}}),
	"msgpack, back at the other gateway": words(then(met, dialed(1, claim), await(goesOn), frames(`422["room message","red",2]`), await(`432[{"ok":true`))),
}

const (
	poll3      = "EIO=3&transport=polling"
	poll3SID   = poll3 + "&sid={sid}"
	webSocket3 = "EIO=3&transport=websocket"
)

// revision3Scripts are sessions of clients of Socket.IO 2.
var revision3Scripts = map[string]script{
	"revision 3": then(script{{do: doDial, query: webSocket3}}, await(`0{`), await(`40`), frames(`2`), await(`3`), frames(`420["join","red"]`, `421["room message","red","hi"]`),
		await(`431[{"ok":true`), frames(`40/bare?a=b`), await(`40/bare`), frames(`451-/bare,7["echo",{"_placeholder":true,"num":0}]`), script{{do: doFrame, data: "\x04\x01\x02", binary: true}},
		await(`43/bare,7["echo"]`), frames(`41/bare`)),
	"revision 3 by polling": {
		{do: doGet, query: poll3}, {do: doAwait, data: `40`}, {do: doPost, query: poll3SID, data: `17:420["join","red"]`}, {do: doAwait, data: `430[{"ok":true`},
		{do: doPost, at: 1, query: poll3SID, data: `1:223:421["who",{"room":"é"}]`}, {do: doGet, query: poll3SID}, {do: doPost, query: poll3SID, data: `1:1`},
	},
	"revision 3 upgrade": then(script{{do: doGet, query: poll3}}, await(`40`), script{{do: doDial, at: 1, query: webSocket3 + "&sid={sid}"}}, frames(`2probe`), await(`3probe`),
		frames(`5`, `420["leave","red"]`), await(`430[{"ok":true`)),
}
