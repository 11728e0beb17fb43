package socketio_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/natter-io/natter/pkg/socketio"
)

func TestEventName(t *testing.T) {
	tests := []struct {
		array, name string
		err         error
	}{
		{`["chat message","hello"]`, "chat message", nil},
		{` [ "a" ]`, "a", nil},
		{`[1]`, "1", nil},
		{`[-1.50e2,"x"]`, "-1.50e2", nil},
		{`["\u00e9\n\"é"]`, "é\n\"é", nil},
		{`[""]`, "", nil},
		{`["error"]`, "error", nil},
		{`["__proto__"]`, "__proto__", nil},
		{`["connect"]`, "", socketio.ErrReserved},
		{`["\u0063onnect"]`, "", socketio.ErrReserved},
		{`[]`, "", socketio.ErrPayload},
		{`[`, "", socketio.ErrPayload},
		{``, "", socketio.ErrPayload},
		{`{}`, "", socketio.ErrPayload},
		{`hello`, "", socketio.ErrPayload},
		{`[{}]`, "", socketio.ErrPayload},
		{`[null]`, "", socketio.ErrPayload},
		{`["a`, "", socketio.ErrPayload},
	}
	for _, test := range tests {
		t.Run(test.array, func(t *testing.T) {
			name, err := socketio.EventName([]byte(test.array))
			if name != test.name || !errors.Is(err, test.err) {
				t.Errorf("got %q and %v, want %q and %v", name, err, test.name, test.err)
			}
			if err := socketio.Valid([]byte(test.array), 0); !errors.Is(err, test.err) {
				t.Errorf("Valid: got %v, want %v", err, test.err)
			}
		})
	}
}

func TestPacketEventName(t *testing.T) {
	var d socketio.Decoder
	p, err := d.Text([]byte(`212["a",1]`))
	if err != nil {
		t.Fatal(err)
	}
	if name, err := p.EventName(); name != "a" || err != nil {
		t.Errorf("got %q and %v", name, err)
	}
	for _, text := range []string{`2`, `31["a"]`, `0{}`} {
		p, err := d.Text([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if name, err := p.EventName(); !errors.Is(err, socketio.ErrNoEvent) {
			t.Errorf("%s: got %q and %v, want ErrNoEvent", text, name, err)
		}
	}
}

func TestValidAttachments(t *testing.T) {
	one := []byte(`["a",{"_placeholder":true,"num":0}]`)
	for attachments, want := range map[int]error{
		-1: socketio.ErrTooLarge, 0: nil, 1: nil, 2: socketio.ErrAttachments, 65: socketio.ErrTooLarge,
	} {
		if err := socketio.Valid(one, attachments); !errors.Is(err, want) {
			t.Errorf("Valid with %d attachments: got %v, want %v", attachments, err, want)
		}
		if err := socketio.ValidArgs(one, attachments); !errors.Is(err, want) {
			t.Errorf("ValidArgs with %d attachments: got %v, want %v", attachments, err, want)
		}
	}
}

func TestValidArgs(t *testing.T) {
	for _, array := range []string{`[]`, ` [ ] `, `[null]`, `[{}]`, `["connect"]`} {
		if err := socketio.ValidArgs([]byte(array), 0); err != nil {
			t.Errorf("%s: %v", array, err)
		}
	}
	for _, array := range []string{``, ` `, `{}`, `null`, `"a"`, `[`, `[1`, `[,]`, `[1,]`, `[]]`} {
		if err := socketio.ValidArgs([]byte(array), 0); !errors.Is(err, socketio.ErrPayload) {
			t.Errorf("%s: got %v, want ErrPayload", array, err)
		}
	}
}

func TestElements(t *testing.T) {
	tests := []struct {
		array  string
		want   []string
		joined string
	}{
		{`[]`, nil, `[]`},
		{` [ ] `, nil, `[]`},
		{`["a"]`, []string{`"a"`}, `["a"]`},
		{"[ \"a,]\\\"\" ,\t{\"z\" : [1, 2]},\n[[ ]], -0.5e+1,null ]", []string{`"a,]\""`, `{"z" : [1, 2]}`, `[[ ]]`, `-0.5e+1`, `null`},
			`["a,]\"",{"z" : [1, 2]},[[ ]],-0.5e+1,null]`},
	}
	for _, test := range tests {
		elements, err := socketio.Elements([]byte(test.array))
		if err != nil {
			t.Fatalf("%s: %v", test.array, err)
		}
		var got []string
		for _, element := range elements {
			if cap(element) != len(element) {
				t.Errorf("%s: appending to element %s would overwrite the array", test.array, element)
			}
			got = append(got, string(element))
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.array, got, test.want)
		}
		if joined := socketio.Join(elements...); string(joined) != test.joined || cap(joined) < len(joined) {
			t.Errorf("%s: joined %s, want %s", test.array, joined, test.joined)
		}
	}
	for _, array := range []string{``, `{}`, `[1,]`, `[1 2]`, `[`} {
		if _, err := socketio.Elements([]byte(array)); !errors.Is(err, socketio.ErrPayload) {
			t.Errorf("%s: got %v, want ErrPayload", array, err)
		}
	}
}
