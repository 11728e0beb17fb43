package record

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

func TestDecode(t *testing.T) {
	h := contract.Header{
		contract.HeaderUser: {"forged", "u1"}, contract.HeaderName: {"bad \xff\x00 name"}, contract.HeaderSocket: {"s"},
		contract.HeaderRooms: {"red,a=2Eb,red"}, contract.HeaderAttachments: {"2"},
	}
	got, err := Decode(contract.Subjects{}, "natter.post.a=2Fb.many", h, []byte(`["x"]ab`))
	want := Message{Namespace: "a=2Fb", Targets: []string{"room.red", "room.a=2Eb"}, Socket: "s", User: "u1", Name: "bad \uFFFD\uFFFD name",
		Event: []byte(`["x"]`), Attachments: [][]byte{[]byte("ab")}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Decode = %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := Decode(contract.Subjects{}, "natter.emit._.all", nil, []byte(`["x"]`)); !errors.Is(err, ErrUnstorable) {
		t.Errorf("an emit: %v; want ErrUnstorable", err)
	}
}

func TestRedact(t *testing.T) {
	for event, want := range map[string]string{
		`["a","secret"]`:             `["a"]`,
		` [ "a\u0020b" , {"x":[1]}]`: `["a\u0020b"]`,
		`nonsense`:                   `[""]`,
	} {
		m := Message{User: "u", Name: "n", Socket: "s", Event: []byte(event), Attachments: [][]byte{{1}}, Time: time.Unix(1, 0)}
		m.Redact()
		if string(m.Event) != want || m.Name != "" || m.Socket != "" || m.Attachments != nil || !m.Redacted || m.User != "u" || m.Time.IsZero() {
			t.Errorf("%s redacted is %+v; want %s", event, m, want)
		}
	}
}

func TestEditsToWhatClientsCannotTake(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		value string
		want  error
	}{
		{`"fine"`, nil},
		{nested(socketio.MaxDepth - AroundPage - 1), nil},
		{nested(socketio.MaxDepth - AroundPage), ErrUnfitting},
		{"\"a\xff\xfeb\"", ErrUnfitting},
		{"{\"\xc3\x28\":1}", ErrUnfitting},
		{`1,2`, ErrUnfitting},
	} {
		m := Message{User: "u", Event: []byte(`["m","x"]`)}
		err := Change{By: By{User: "u"}, Action: Edit, Value: []byte(c.value)}.Apply(&m)
		if !errors.Is(err, c.want) || (err == nil) != (string(m.Event) == `["m",`+c.value+`]`) {
			t.Errorf("an edit to %.50q: %v, %.50q; want %v", c.value, err, m.Event, c.want)
		}
	}
}

func TestIDs(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	id := ID{Epoch: created.UnixMilli(), Sequence: 42}
	if want := contract.MessageID(contract.Epoch(created), 42); id.String() != want {
		t.Errorf("%s; want %s", id, want)
	}
	for _, id := range []ID{id, {}, Newest, {Epoch: -1, Sequence: 1}} {
		got, err := ParseID(id.String())
		if id.Epoch >= 0 && (err != nil || got != id) {
			t.Errorf("ParseID(%s) = %+v, %v", id, got, err)
		}
	}
	for _, bad := range []string{"", "x", "-1", "a_b-1", "zzzzzzzzzzzzzzzzzzzz-1", "a-18446744073709551615", "a--1"} {
		if id, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) = %+v; want an error", bad, id)
		}
	}
	if older := (ID{1, 9}); (ID{2, 1}).Compare(older) <= 0 || older.Compare(ID{2, 1}) >= 0 || older.Compare(ID{1, 8}) <= 0 || older.Compare(older) != 0 {
		t.Error("Compare does not order by epoch, then sequence")
	}
}

func TestPlaces(t *testing.T) {
	red, empty, socket, long := "red", "", "gw1.abcdefghijABCDEFGH_-", strings.Repeat("x", 129)
	for _, c := range []struct {
		namespace string
		room      *string
		want      Place
	}{
		{"/", nil, Place{"_", "all"}},
		{"/", &red, Place{"_", "room.red"}},
		{"/a", &empty, Place{"a", "room.="}},
		{"/", &socket, Place{}},
		{"/", &long, Place{}},
		{"a", nil, Place{}},
	} {
		got, err := NewPlace(c.namespace, c.room)
		if got != c.want || (err == nil) != (c.want != Place{}) {
			t.Errorf("NewPlace(%q) = %+v, %v; want %+v", c.namespace, got, err, c.want)
		}
	}
}

// FuzzDecode says that what is stored can be answered: JSON goes in and comes out, and what is left of it
// when redacted is an event with the same name.
func FuzzDecode(f *testing.F) {
	f.Add("natter.post._.room.red", "", "", []byte(`["x",1]`))
	f.Add("natter.post._.many", "red,blue", "3", []byte(`["x"]abc`))
	f.Add("natter.post._.all", "", "1,", []byte(` [ "\ud800" ] `))
	f.Add("natter.post._.all", "", "", []byte(`[[],"x"]`))
	f.Fuzz(func(t *testing.T, subject, rooms, lengths string, payload []byte) {
		h := contract.Header{contract.HeaderRooms: {rooms}, contract.HeaderAttachments: {lengths}}
		m, err := Decode(contract.Subjects{}, subject, h, payload)
		if err != nil {
			if !errors.Is(err, ErrUnstorable) {
				t.Fatalf("error %v does not wrap ErrUnstorable", err)
			}
			return
		}
		if string(contract.JoinPayload(m.Event, m.Attachments)) != string(payload) {
			t.Fatalf("%q became %q and %q", payload, m.Event, m.Attachments)
		}
		var whole, left []any
		if err := json.Unmarshal(m.Event, &whole); err != nil {
			t.Fatalf("%q: %v", m.Event, err)
		}
		m.Redact()
		if err := json.Unmarshal(m.Event, &left); err != nil || len(left) != 1 || left[0] != whole[0] {
			t.Fatalf("%q redacted is %q, %v", payload, m.Event, err)
		}
	})
}
