package sdk

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

func event(t testing.TB, payload, attachments string) Args {
	t.Helper()
	h := contract.Header{}
	if attachments != "" {
		h[contract.HeaderAttachments] = []string{attachments}
	}
	args, err := decodeEvent(h, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return args
}

func TestBind(t *testing.T) {
	args := event(t, `["e","é",7,{"b":{"_placeholder":true,"num":1},"n":12345678901234567890},{"_placeholder":true,"num":0},null]abc!!`, "3,2")
	var (
		s string
		n int
		o struct {
			B []byte
			N uint64
		}
		raw  []byte
		null *int
	)
	if err := args.Bind(&s, &n, &o, &raw, &null); err != nil {
		t.Fatal(err)
	}
	if s != "é" || n != 7 || string(o.B) != "!!" || o.N != 12345678901234567890 || string(raw) != "abc" || null != nil {
		t.Errorf("bound %q %d %+v %q %v", s, n, o, raw, null)
	}
	if args.Len() != 5 || args.String(0) != "é" || args.String(1) != "" || args.String(9) != "" || args.Raw(-1) != nil {
		t.Error("Len, String and Raw")
	}
	if string(args.Bytes(3)) != "abc" || args.Bytes(0) != nil || args.Bytes(9) != nil {
		t.Error("Bytes")
	}
	if err := (Args{}).Bind(); err != nil {
		t.Error(err)
	}
}

func TestBindRefuses(t *testing.T) {
	args := event(t, `["e","x",{"limit":"many"},{"_placeholder":true,"num":4}]`, "")
	var n int
	var s string
	var page struct {
		Limit int `json:"limit"`
	}
	var b []byte
	for want, pointers := range map[string][]any{
		"4 arguments wanted, 3 given":                              {&s, &page, &b, &n},
		"argument 0: a whole number wanted, a string given":        {&n},
		"argument 1: limit: a whole number wanted, a string given": {&s, &page},
		"argument 0 cannot be read":                                {nil},
	} {
		var refusal *Refusal
		if err := args.Bind(pointers...); !errors.As(err, &refusal) || refusal.Code != contract.CodeInvalid {
			t.Errorf("%v, want %q", err, want)
		} else if got := refusal.Message; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzEvent: whatever comes over the network is an error or arguments that can be used, and what was encoded
// comes back.
func FuzzEvent(f *testing.F) {
	for _, seed := range []struct{ payload, attachments string }{
		{`["e"]`, ""}, {`["e",1,"x",null,{"a":[1]}]`, ""}, {`[]`, ""}, {``, ""}, {`null`, ""}, {`{"a":1}`, ""},
		{`["e",{"_placeholder":true,"num":0}]abc`, "3"}, {`["e",{"_placeholder":true,"num":-1}]abc`, "3"},
		{`["e",{"a":[{"_placeholder":true,"num":1}]}]abcd`, "3,1"}, {`["e",{"_placeholder":true,"num":1e3}]a`, "1"},
		{`["e",{"_placeholder":true,"num":"0"}]a`, "1"}, {`["e"]`, "9"}, {`["e"]`, "-1"}, {"[\"\xff\"]", ""},
	} {
		f.Add([]byte(seed.payload), seed.attachments)
	}
	f.Fuzz(func(t *testing.T, payload []byte, attachments string) {
		h := contract.Header(nats.Header{})
		if attachments != "" {
			h[contract.HeaderAttachments] = []string{attachments}
		}
		args, err := decodeEvent(h, payload)
		if err != nil {
			return
		}
		back := []any{"e"}
		for i := range args.Len() {
			if !json.Valid(args.Raw(i)) {
				t.Fatalf("argument %d is not JSON: %q", i, args.Raw(i))
			}
			args.String(i)
			args.Bytes(i)
			back = append(back, args.Raw(i))
		}
		values := make([]any, args.Len())
		pointers := make([]any, args.Len())
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := args.Bind(pointers...); err != nil {
			t.Fatalf("a value that any holds: %v", err)
		}
		text, _, err := encodeArray(back)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeEvent(h, contract.JoinPayload(text, args.attachments))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again, args) && args.Len() > 0 {
			t.Fatalf("came back as %q, was %q", again, args)
		}
	})
}

// Types that hold themselves, and cyclic values, end.
func TestExtractEnds(t *testing.T) {
	type list []list
	if _, _, err := encodeArray([]any{list{list{}, nil}}); err != nil {
		t.Error(err)
	}
	cycle := []any{nil}
	cycle[0] = cycle
	if _, _, err := encodeArray([]any{cycle}); err == nil {
		t.Error("a cycle: no error")
	}
}
