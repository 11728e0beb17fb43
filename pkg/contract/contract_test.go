package contract

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTokens(t *testing.T) {
	for name, want := range map[string]string{
		"":                            "=",
		"red":                         "red",
		"_":                           "_",
		"delete user":                 "delete=20user",
		"a.b":                         "a=2Eb",
		"*":                           "=2A",
		">":                           "=3E",
		"=":                           "=3D",
		"🎉":                           "=F0=9F=8E=89",
		"\x00\xff":                    "=00=FF",
		"Room-7_x":                    "Room-7_x",
		strings.Repeat("a", MaxToken): strings.Repeat("a", MaxToken),
	} {
		got, err := EncodeToken(name)
		if err != nil || got != want {
			t.Errorf("EncodeToken(%q) = %q, %v; want %q", name, got, err, want)
		}
		back, err := DecodeToken(got)
		if err != nil || back != name {
			t.Errorf("DecodeToken(%q) = %q, %v; want %q", got, back, err, name)
		}
	}
	for _, name := range []string{strings.Repeat("a", MaxToken+1), strings.Repeat(".", MaxToken/3+1)} {
		if _, err := EncodeToken(name); !errors.Is(err, ErrTokenTooLong) {
			t.Errorf("EncodeToken of %d bytes: %v; want ErrTokenTooLong", len(name), err)
		}
	}
	for _, token := range []string{"", "a.b", "*", ">", "=2", "=2e", "=61", "a=", "==", "=G0", "é", strings.Repeat("a", MaxToken+1)} {
		if name, err := DecodeToken(token); !errors.Is(err, ErrBadToken) {
			t.Errorf("DecodeToken(%q) = %q, %v; want ErrBadToken", token, name, err)
		}
	}
}

func TestNamespaces(t *testing.T) {
	for ns, want := range map[string]string{"/": "_", "/admin": "admin", "/_": "=5F", "/a/b": "a=2Fb", "/ ": "=20", "/__": "__"} {
		got, err := EncodeNamespace(ns)
		if err != nil || got != want {
			t.Errorf("EncodeNamespace(%q) = %q, %v; want %q", ns, got, err, want)
		}
		if back, err := DecodeNamespace(got); err != nil || back != ns {
			t.Errorf("DecodeNamespace(%q) = %q, %v; want %q", got, back, err, ns)
		}
	}
	if _, err := EncodeNamespace("admin"); err == nil {
		t.Error("a namespace without a slash was accepted")
	}
	if _, err := DecodeNamespace("="); err == nil {
		t.Error("the main namespace has two spellings")
	}
}

const socketID = "gw1.abcdefghijABCDEFGH_-"

func TestSubjects(t *testing.T) {
	var s Subjects
	for want, target := range map[string]Target{
		"natter.emit._.all":                All(),
		"natter.emit._.room.red":           To("red"),
		"natter.emit._.room.=":             To(""),
		"natter.emit._.room.=3E":           To(">"),
		"natter.emit._.many":               To("red", "blue"),
		"natter.emit._.socket." + socketID: To(socketID),
	} {
		got, err := s.To(Emit, "/", target)
		if err != nil || got != want {
			t.Errorf("To(%v) = %q, %v; want %q", target, got, err, want)
			continue
		}
		p, err := s.Parse(got)
		if err != nil || p.Kind != Emit || p.Namespace != "/" || p.Many != target.IsMany() || !p.Many && !reflect.DeepEqual(p.Target, target) {
			t.Errorf("Parse(%q) = %+v, %v", got, p, err)
		}
	}
	side, err := s.Server("/admin", "delete user")
	if err != nil || side != "natter.server.admin.delete=20user" {
		t.Errorf("Server = %q, %v", side, err)
	}
	if p, err := s.Parse(side); err != nil || p.Kind != Server || p.Event != "delete user" || p.Namespace != "/admin" {
		t.Errorf("Parse(%q) = %+v, %v", side, p, err)
	}
	if allow, err := s.Allow("the door"); err != nil || allow != "natter.allow.the=20door" {
		t.Errorf("Allow = %q, %v", allow, err)
	}
	if allow, err := s.Allow(strings.Repeat("x", 200)); err == nil {
		t.Errorf("Allow = %q; want an error", allow)
	}
	on, err := s.On("/admin", "delete user", socketID)
	if err != nil || on != "natter.on.admin.delete=20user."+socketID {
		t.Errorf("On = %q, %v", on, err)
	}
	if p, err := s.Parse(on); err != nil || p.Event != "delete user" || p.Socket != socketID || p.Namespace != "/admin" {
		t.Errorf("Parse(%q) = %+v, %v", on, p, err)
	}
	for _, subject := range []string{"", "natter", "natter.emit", "natter.emit._", "natter.emit._.room", "natter.emit._.everyone", "natter.emit._.room.a.b", "natter.emit.=.all",
		"other.emit._.all", "natter.auth.admin.login", "natter.server._.a.b", "natter.emit._.socket.gw.short", "natter.on._.x.gw.short", "natter.emit._.room." + strings.ReplaceAll(socketID, ".", "=2E")} {
		if p, err := s.Parse(subject); err == nil {
			t.Errorf("Parse(%q) = %+v; want an error", subject, p)
		}
	}
	if _, err := NewSubjects("a.b"); err == nil {
		t.Error("a prefix of two tokens was accepted")
	}
}

func TestLastHeaderCounts(t *testing.T) {
	h := Header{"Nats-Sequence": {"999", "7"}, "Nats-Subject": {"natter.emit._.all", "natter.post._.all"}, "Nats-Last-Sequence": {"1", "6"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05.6Z"}}
	got, err := ParseStored(h)
	want := Stored{Subject: "natter.post._.all", Sequence: 7, Last: 6, Time: time.Date(2026, 1, 2, 3, 4, 5, 600000000, time.UTC)}
	if err != nil || got != want {
		t.Errorf("ParseStored = %+v, %v; want %+v", got, err, want)
	}
	if _, err := ParseStored(Header{}); !errors.Is(err, ErrNotRepublished) {
		t.Errorf("without headers: %v", err)
	}
}

func TestPayloads(t *testing.T) {
	attachments := [][]byte{[]byte("one"), {}, []byte("three")}
	payload := JoinPayload([]byte(`["x"]`), attachments)
	h := Header{HeaderAttachments: {FormatAttachments(attachments)}}
	json, got, err := SplitPayload(h, payload)
	if err != nil || string(json) != `["x"]` || !reflect.DeepEqual(got, attachments) {
		t.Errorf("SplitPayload = %q, %q, %v", json, got, err)
	}
	for _, value := range []string{"-1", "x", "99", "8,8", "1,1,1,1,1,1,1,1,1,1,1", ","} {
		if _, _, err := SplitPayload(Header{HeaderAttachments: {value}}, payload); !errors.Is(err, ErrBadHeader) {
			t.Errorf("%s %q: %v; want ErrBadHeader", HeaderAttachments, value, err)
		}
	}
}

func TestNames(t *testing.T) {
	names := []string{"red", "", "a,b", ">", socketID, "🎉"}
	value, err := FormatNames(names)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseNames(value); err != nil || !reflect.DeepEqual(got, names) {
		t.Errorf("ParseNames(%q) = %q, %v", value, got, err)
	}
	if _, err := ParseNames("red,,blue"); err == nil {
		t.Error("an empty token was accepted")
	}
}

func TestMessageIDs(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id := MessageID(Epoch(created), 42)
	epoch, seq, err := SplitMessageID(id)
	if err != nil || epoch != Epoch(created) || seq != 42 {
		t.Errorf("SplitMessageID(%q) = %q, %d, %v", id, epoch, seq, err)
	}
	for _, bad := range []string{"", "42", "-42", "x-", "x-y", "a.b-1"} {
		if _, _, err := SplitMessageID(bad); err == nil {
			t.Errorf("SplitMessageID(%q) was accepted", bad)
		}
	}
}

func TestNamespaceValidation(t *testing.T) {
	good := Namespace{Use: []string{"auth"}, Role: "admin", Events: map[string]Rule{
		"chat message": {Action: ActionPost, To: "all", Args: 1},
		"join":         {Action: ActionJoin, Args: 1, Announce: true},
	}}
	if err := good.Validate("/x"); err != nil {
		t.Error(err)
	}
	for want, bad := range map[string]Namespace{
		"role":     {Role: "admin"},
		"guests":   {Use: []string{"auth"}, Role: "admin", Guests: true},
		"action":   {Events: map[string]Rule{"x": {Action: "pots"}}},
		"to":       {Events: map[string]Rule{"x": {Action: ActionPost, Args: 1}}},
		"args":     {Events: map[string]Rule{"x": {Action: ActionPost, To: "all"}}},
		"members":  {Events: map[string]Rule{"x": {Action: ActionPost, To: "all", Args: 1, Members: true}}},
		"except":   {Events: map[string]Rule{"x": {Action: ActionPost, To: "all", Args: 1, Except: "me"}}},
		"announce": {Events: map[string]Rule{"x": {Action: ActionLeave, Announce: true}}},
	} {
		if err := bad.Validate("/x"); err == nil || !strings.Contains(err.Error(), want+":") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What nobody understands may have been meant to keep clients out.
func TestNamespaceWithUnknownFieldsIsRefused(t *testing.T) {
	for value, want := range map[string]string{
		`{"use":["auth"],"rol":"admin"}`:                                  "rol",
		`{"events":{"x":{"action":"refuse","member":true}}}`:              "member",
		`{"use":["auth"]} {"role":"admin"}`:                               "behind",
		`{"use":["auth"]}]`:                                               "behind",
		`{"use":["auth"]`:                                                 "EOF",
		`{"use":["auth"],"registered":["bouncer"],"role":"admin"}` + "\n": "",
	} {
		_, n, err := ParseNamespace("x", []byte(value))
		if want == "" && (err != nil || n.Role != "admin") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %+v, %v", value, n, err)
		}
	}
}

func FuzzTokenRoundTrip(f *testing.F) {
	for _, s := range []string{"", "red", ">", "*", "a.b", "🎉", "=", "=41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		token, err := EncodeToken(name)
		if err != nil {
			return
		}
		if token == "" || len(token) > MaxToken || strings.ContainsAny(token, ".*> \t\r\n\x00") {
			t.Fatalf("EncodeToken(%q) = %q is no single literal token", name, token)
		}
		if back, err := DecodeToken(token); err != nil || back != name {
			t.Fatalf("DecodeToken(%q) = %q, %v; want %q", token, back, err, name)
		}
	})
}

func FuzzDecodeTokenIsCanonical(f *testing.F) {
	for _, s := range []string{"=", "red", "=20", "=2e", "=41", "a=", "_"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		name, err := DecodeToken(token)
		if err != nil {
			return
		}
		if again, err := EncodeToken(name); err != nil || again != token {
			t.Fatalf("DecodeToken(%q) = %q, which encodes to %q, %v", token, name, again, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"natter.emit._.all", "natter.on._.x." + socketID, "natter.do.a=2Fb.room.=", "natter.use._.auth", "natter.server._.x", "natter.take._.orders", "natter.on._.x." + socketID + ".i1", "natter.room._.join-room.red.g1"} {
		f.Add(s)
	}
	var s Subjects
	f.Fuzz(func(t *testing.T, subject string) {
		p, err := s.Parse(subject)
		if err != nil || p.Many {
			return
		}
		var again string
		switch p.Kind {
		case Use:
			again, err = s.Use(p.Namespace, p.Middleware)
		case On:
			again, err = s.On(p.Namespace, p.Event, p.Socket)
			if p.Instance != "" {
				again, err = s.OnTaken(p.Namespace, p.Event, p.Socket, p.Instance)
			}
		case Room:
			again, err = s.Room(p.Namespace, p.Event, p.Target.Rooms()[0], p.Gateway)
		case Take:
			again, err = s.Take(p.Namespace, p.Service)
		case Server:
			again, err = s.Server(p.Namespace, p.Event)
		default:
			again, err = s.To(p.Kind, p.Namespace, p.Target)
		}
		if err != nil || again != subject {
			t.Fatalf("Parse(%q) = %+v, which is written %q, %v", subject, p, again, err)
		}
	})
}

func FuzzSplitPayload(f *testing.F) {
	f.Add("1,2", []byte(`["x"]abc`))
	f.Fuzz(func(t *testing.T, value string, payload []byte) {
		json, attachments, err := SplitPayload(Header{HeaderAttachments: {value}}, payload)
		if err == nil && string(JoinPayload(json, attachments)) != string(payload) {
			t.Fatalf("%q parts %q into %q and %q", value, payload, json, attachments)
		}
	})
}

func TestCarry(t *testing.T) {
	var s Subjects
	if got, err := s.Carry("g1", "g-2_B"); err != nil || got != "natter.gateway.g1.carry.g-2_B" {
		t.Errorf("%q %v", got, err)
	}
	if got := s.CarryAny("g1"); got != "natter.gateway.g1.carry.*" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"", "*", "a.b", "a b", strings.Repeat("x", MaxGatewayID+1)} {
		for _, ids := range [][2]string{{bad, "g1"}, {"g1", bad}} {
			if got, err := s.Carry(ids[0], ids[1]); !errors.Is(err, ErrBadSubject) {
				t.Errorf("%q: %q %v", ids, got, err)
			}
		}
	}
}
