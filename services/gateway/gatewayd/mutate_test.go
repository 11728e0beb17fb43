package gatewayd_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// session is a script, mutated or not, with the seed that it is made from.
type session struct {
	seed      uint64
	name      string
	mutations []string
	script    script
}

// newSession makes the session of a seed; one of sixteen is valid.
func newSession(seed uint64) session {
	r := rand.New(rand.NewPCG(seed, 0x6e6174746572))
	s := session{seed: seed, name: scriptNames[r.IntN(len(scriptNames))]}
	s.script = validScripts[s.name].clone()
	if r.IntN(16) == 0 {
		return s
	}
	for range 1 + r.IntN(4) {
		m := mutations[r.IntN(len(mutations))]
		if len(s.script) > 0 {
			s.script = m.change(r, s.script)
			s.mutations = append(s.mutations, m.name)
		}
	}
	return s
}

// mutations are what may be wrong with a session. A change may replace the steps of its script, and must
// not change what they share with others.
var mutations = []struct {
	name   string
	change func(*rand.Rand, script) script
}{
	{"drop", func(r *rand.Rand, s script) script { i := r.IntN(len(s)); return slices.Delete(s, i, i+1) }},
	{"duplicate", func(r *rand.Rand, s script) script { i := r.IntN(len(s)); return slices.Insert(s, i, s[i]) }},
	{"flood", func(r *rand.Rand, s script) script {
		i := r.IntN(len(s))
		return slices.Insert(s, i, slices.Repeat(s[i:i+1], 1+r.IntN(30))...)
	}},
	{"reorder", func(r *rand.Rand, s script) script {
		i, j := r.IntN(len(s)), r.IntN(len(s))
		s[i], s[j] = s[j], s[i]
		return s
	}},
	{"early close", func(r *rand.Rand, s script) script { return append(s[:r.IntN(len(s))], step{do: doHangUp}) }},
	{"vanish", func(r *rand.Rand, s script) script { return s[:r.IntN(len(s))] }},
	{"splice", func(r *rand.Rand, s script) script {
		other := validScripts[scriptNames[r.IntN(len(scriptNames))]]
		return append(s[:r.IntN(len(s)+1)], other[r.IntN(len(other)):]...)
	}},
	{"weave", func(r *rand.Rand, s script) script {
		for _, st := range validScripts[scriptNames[r.IntN(len(scriptNames))]] {
			s = slices.Insert(s, r.IntN(len(s)+1), st)
		}
		return s
	}},
	{"half-open upgrade", func(r *rand.Rand, s script) script {
		steps := script{{do: doDial, at: r.IntN(2), query: webSocketSID}, {do: doFrame, data: `2probe`}, {do: doFrame, data: `5`}}
		return slices.Insert(s, r.IntN(len(s)+1), steps[:1+r.IntN(len(steps))]...)
	}},
	{"come back", func(r *rand.Rand, s script) script {
		claim := `40{"pid":"{pid}","offset":"` + pick(r, "{offset}", "{offset}", "{first}", "{epoch}-99999999", "{epoch}-0", "x-1", "") + `"}`
		at := r.IntN(2)
		steps := script{{do: doAfresh}, {do: doDial, at: at, query: webSocket}, {do: doFrame, data: claim}, {do: doAwait, data: `40{"sid"`}, {do: doFrame, data: `420["join","red"]`}}
		if r.IntN(2) == 0 {
			steps = script{{do: doAfresh}, {do: doGet, at: at, query: pollQuery}, {do: doPost, at: at, query: pollSID, data: claim}, {do: doGet, at: r.IntN(2), query: pollSID}}
		}
		return slices.Insert(s, r.IntN(len(s)+1), steps[:1+r.IntN(len(steps))]...)
	}},
	{"second poll", func(r *rand.Rand, s script) script {
		return slices.Insert(s, r.IntN(len(s)+1), step{do: doGet, at: r.IntN(2), query: pollSID})
	}},
	{"other gateway", some(func(r *rand.Rand, st *step) { st.at = r.IntN(4) })},
	{"other method", some(func(r *rand.Rand, st *step) {
		st.method = pick(r, "PUT", "POST", "GET", "OPTIONS", "DELETE", "HEAD", "CONNECT", "TRACE", "P\x01", "")
	})},
	{"query", some(func(r *rand.Rand, st *step) { st.query = wrongQuery(r, st.query) })},
	{"bit flips in data", some(func(r *rand.Rand, st *step) { st.data = flip(r, st.data) })},
	{"bit flips on the wire", some(func(r *rand.Rand, st *step) {
		for range 1 + r.IntN(3) {
			st.fault.flips = append(slices.Clip(st.fault.flips), r.IntN(1<<16))
		}
	})},
	{"truncated data", some(func(r *rand.Rand, st *step) { st.data = st.data[:r.IntN(len(st.data)+1)] })},
	{"data of another step", some(func(r *rand.Rand, st *step) {
		other := validScripts[scriptNames[r.IntN(len(scriptNames))]]
		st.data = st.data[:r.IntN(len(st.data)+1)] + other[r.IntN(len(other))].data
	})},
	{"repeated data", some(func(r *rand.Rand, st *step) {
		st.data = strings.Repeat(st.data, min(1+r.IntN(100), 1+4<<20/(1+len(st.data)))) // several of these would fill the memory
	})},
	{"too large", some(func(r *rand.Rand, st *step) { st.data += strings.Repeat("x", 90_000+r.IntN(20_000)) })},
	{"packet", some(func(r *rand.Rand, st *step) { st.data = pick(r, oddPackets...) })},
	{"number", some(func(r *rand.Rand, st *step) { st.data = replaceOne(r, digits, st.data, pick(r, oddNumbers...)) })},
	{"value", some(func(r *rand.Rand, st *step) { st.data = replaceOne(r, values, st.data, oddValue(r)) })},
	{"text for binary", some(func(r *rand.Rand, st *step) { st.binary = !st.binary })},
	{"other parser", some(func(r *rand.Rand, st *step) { st.words = !st.words })},
	{"wrong length", some(func(r *rand.Rand, st *step) {
		st.fault.announced = []int64{int64(len(st.data)) + 1, int64(len(st.data)) - 1, 1, 125, 126, 65535, 65536, 99_999, 1 << 31, 1<<62 + 1, -1, -1 << 63}[r.IntN(12)]
	})},
	{"cut", some(func(r *rand.Rand, st *step) { st.fault.cut = 1 + r.IntN(400) })},
	{"pieces", some(func(r *rand.Rand, st *step) { st.fault.pieces = 1 + r.IntN(40) })},
	{"fragments", some(func(r *rand.Rand, st *step) { st.fault.fragments = 1 + r.IntN(3) })},
	{"control frames", some(func(r *rand.Rand, st *step) { st.fault.pings = 1 + r.IntN(200) })},
	{"frame bits", some(func(r *rand.Rand, st *step) { st.fault.bits = 1 << r.IntN(8) })},
	{"unmasked", some(func(r *rand.Rand, st *step) { st.fault.unmasked = true })},
	{"header fields", some(func(r *rand.Rand, st *step) { st.fault.fields = 1 + r.IntN(3000) })},
}

// some changes one step.
func some(change func(*rand.Rand, *step)) func(*rand.Rand, script) script {
	return func(r *rand.Rand, s script) script {
		change(r, &s[r.IntN(len(s))])
		return s
	}
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

var (
	digits = regexp.MustCompile(`[0-9]+`)
	values = regexp.MustCompile(`"[^"]*"|[0-9]+|true|null|\{\}`)
)

// oddPackets are what other servers stumbled over, and what is legal and rare.
var oddPackets = []string{
	``, `0`, `1`, `2`, `3`, `4`, `5`, `6`, `7`, `b`, `b=`, `2probe`, `3probe`, `40`, `41`, `42`, `43`, `44`, `45`, `46`, `47`, `40/`, `40/,`, `40/bare`,
	`42["error"]`, `42["connect"]`, `42[{"toString":1}]`, `42["__proto__"]`, `42[]`, `42{}`, `42["x"]]`, `421["x"`, `44{"message":"x"}`, `43[]`, `430[]`,
	`450-["x"]`, `45-["x"]`, `451-["x"]`, `4511-["x"]`, `459999999999-["x"]`, `451-["x",{"_placeholder":true,"num":9}]`, `451-["x",{"_placeholder":true,"num":"splice"}]`,
	`451-/bare,["echo",{"_placeholder":true,"num":0}]`, `42/bare,9007199254740993["echo"]`, `40/bare,{"token":{}}`, `41/bare,`, `420["join",">"]`, `420["join","*"]`, `420["join",""]`,
	`420["join","` + strings.Repeat("é", 60) + `"]`, `42["room message","red",1]`, `420["history",{"room":"red","before":"x","limit":-1}]`, `420["who",{}]`, "\xff\xfe", "4\x002", "42[\"\\ud800\"]",
	`40{"pid":"{pid}","offset":"{offset}"}`, `40{"pid":"{pid}","offset":"{epoch}-99999999"}`, `40{"pid":"{pid}"}`, `40{"pid":7,"offset":[]}`, `40{"pid":null,"offset":null}`,
	`40{"pid":"` + strings.Repeat("x", 40) + `","offset":"{offset}"}`, `40{"pid":">","offset":"{epoch}-1"}`, `40/bare,{"pid":"{pid}","offset":"{offset}"}`, `0{"sid":"{sid}"}`, `0{"sid":1}`,
	strings.Repeat("4\x1e", 200), strings.Repeat("420[\"who\",\"red\"]\x1e", 50) + "6", strings.Repeat("3\x1e", 5000) + "3",
}

var oddNumbers = []string{"0", "-1", "00", "9007199254740991", "9007199254740992", "18446744073709551616", strings.Repeat("9", 400), "1e999", "0x10", "1.5", ""}

// oddValue is a JSON value, or something like one, that stands where another was.
func oddValue(r *rand.Rand) string {
	depth := 1 << r.IntN(15)
	switch r.IntN(5) {
	case 0:
		return strings.Repeat("[", depth) + strings.Repeat("]", depth)
	case 1:
		return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	case 2:
		return "[" + strings.Repeat("0,", depth) + "0]"
	case 3:
		return pick(r, oddNumbers...)
	}
	return pick(r, `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":-1}`, `"\u0000"`, `"`+strings.Repeat(`\\`, 1000)+`"`, `{"__proto__":{"x":1}}`, `nul`, `"`, `{"":""}`)
}

func replaceOne(r *rand.Rand, what *regexp.Regexp, data, by string) string {
	found := what.FindAllStringIndex(data, -1)
	if len(found) == 0 {
		return data + by
	}
	at := found[r.IntN(len(found))]
	return data[:at[0]] + by + data[at[1]:]
}

func flip(r *rand.Rand, data string) string {
	if data == "" {
		return "\x00"
	}
	b := []byte(data)
	for range 1 + r.IntN(4) {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	return string(b)
}

// wrongQuery changes, drops or repeats a parameter.
func wrongQuery(r *rand.Rand, query string) string {
	parameters := strings.Split(query, "&")
	i := r.IntN(len(parameters))
	name, _, _ := strings.Cut(parameters[i], "=")
	switch r.IntN(4) {
	case 0:
		return strings.Join(slices.Delete(parameters, i, i+1), "&")
	case 1:
		return query + "&" + parameters[i]
	case 2:
		return flip(r, query)
	}
	parameters[i] = name + "=" + pick(r, "", "__proto__", "constructor", "polling", "websocket", "webtransport", "3", "4", "5", "%", "%00", "..%2f", "a.b", "x.AAAAAAAAAAAAAAAAAAAA",
		strings.Repeat("A", 5000), "{sid}x", "\x01", "4&EIO=3", "{sid}&sid=x")
	return strings.Join(parameters, "&")
}
