package socketio_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/natter-io/natter/pkg/socketio"
)

var seeds = []string{
	``, `0`, `0{}`, `0/admin,{"token":"t"}`, `1`, `1/n,`, `2["a"]`, `2/n,12["a",{"b":[1,-2.5e3,null,true,false]}]`, `212["\u00e9\ud800é"]`,
	`2[1]`, `2["connect"]`, `2[{}]`, `3[]`, `31[]`, `4{"message":"m"}`, `50-["a"]`, `511-[]`, `51-["a",{"_placeholder":true,"num":0}]`,
	`62-1[{"num":1,"_placeholder":true},[{"_placeholder":true,"num":0}]]`, `51-["a",{"_placeholder":true,"num":"splice"}]`, `2 ["a"] `,
}

// decode feeds a text message and, if they are asked for, small attachments.
func decode(data []byte) (*socketio.Packet, error) {
	d := socketio.Decoder{FromServer: true}
	p, err := d.Text(data)
	for p == nil && err == nil {
		p, err = d.Binary([]byte{0, 1})
	}
	return p, err
}

// FuzzDecoder: any text is either refused with one of the documented errors, or
// becomes a packet that is the same after it has been encoded and decoded again.
func FuzzDecoder(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decode(data)
		if err != nil {
			for _, known := range []error{socketio.ErrPacket, socketio.ErrPayload, socketio.ErrReserved, socketio.ErrAttachments, socketio.ErrTooLarge} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("undocumented error %v", err)
		}
		if p.Data != nil && (!json.Valid(p.Data) || !utf8.Valid(p.Data)) {
			t.Fatalf("handed out invalid JSON %q", p.Data)
		}
		if !bytes.HasSuffix(data, p.Data) {
			t.Fatalf("%q is not the end of %q", p.Data, data)
		}
		encoded := p.Append(nil)
		again, err := decode(encoded)
		if err != nil {
			t.Fatalf("%q became %q: %v", data, encoded, err)
		}
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v became %+v", p, again)
		}
		if p.IsEvent() && p.Data != nil {
			if _, err := p.EventName(); err != nil {
				t.Fatalf("the name of a legal event: %v", err)
			}
		}
	})
}

// FuzzFrames: any sequence of frames leaves the decoder bounded and consistent.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("t51-[\"a\",{\"_placeholder\":true,\"num\":0}]\x00bxyz\x00t2[\"a\"]"))
	f.Add([]byte("t50-[\"a\"]\x00bxyz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := socketio.Decoder{MaxAttachmentBytes: 64}
		for frame := range bytes.SplitSeq(data, []byte{0}) {
			if len(frame) == 0 {
				continue
			}
			waiting := d.Pending() != nil
			decodeFrame := d.Text
			if frame[0] == 'b' {
				decodeFrame = d.Binary
			}
			p, err := decodeFrame(frame[1:])
			switch {
			case err != nil && (p != nil || d.Pending() != nil):
				t.Fatalf("kept %+v, %+v after %v", p, d.Pending(), err)
			case err == nil && p == nil && d.Pending() == nil:
				t.Fatal("neither a packet nor one that waits")
			case err == nil && waiting != (frame[0] == 'b'):
				t.Fatalf("took %q while waiting was %v", frame, waiting)
			}
			size := 0
			if p != nil {
				for _, attachment := range p.Attachments {
					size += len(attachment)
				}
			}
			if size > 64 {
				t.Fatalf("%d bytes of attachments", size)
			}
		}
	})
}

// FuzzJSON: an array is taken exactly if the standard library takes it, except
// for what is refused on purpose.
func FuzzJSON(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte("[" + seed + "]"))
		if len(seed) > 0 {
			f.Add([]byte(seed[1:]))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := socketio.ValidArgs(data, 0)
		if errors.Is(err, socketio.ErrTooLarge) {
			return
		}
		trimmed := bytes.TrimLeft(data, " \t\r\n")
		want := json.Valid(data) && utf8.Valid(data) && len(trimmed) > 0 && trimmed[0] == '['
		if (err == nil) != want {
			t.Fatalf("%q: got %v, the standard library says %v", data, err, want)
		}
	})
}

// FuzzElements: splitting and joining change nothing but white space.
func FuzzElements(f *testing.F) {
	for _, seed := range []string{`[]`, ` [ ] `, `["a", {"b" : [1, 2]} ,null]`, `[1,]`, `["\u00e9,]"]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		elements, err := socketio.Elements(data)
		if err != nil {
			return
		}
		joined := socketio.Join(elements...)
		again, err := socketio.Elements(joined)
		if err != nil || !reflect.DeepEqual(elements, again) {
			t.Fatalf("%q became %q: %q, %v", data, joined, again, err)
		}
		var before, after bytes.Buffer
		if json.Compact(&before, data) != nil || json.Compact(&after, joined) != nil || !bytes.Equal(before.Bytes(), after.Bytes()) {
			t.Fatalf("%q became %q", data, joined)
		}
	})
}

// FuzzSplice: what is spliced in becomes the last elements, and the others stay
// as they were.
func FuzzSplice(f *testing.F) {
	f.Add([]byte(`["a"]`), "offset")
	f.Add([]byte(" [\"a\" , 1 ] \n"), "")
	f.Fuzz(func(t *testing.T, array []byte, extra string) {
		if socketio.Valid(array, 0) != nil {
			return
		}
		before, err := socketio.Elements(array)
		if err != nil {
			t.Fatal(err)
		}
		quoted := socketio.AppendString(nil, extra)
		if !json.Valid(quoted) {
			t.Fatalf("%q became %q", extra, quoted)
		}
		packet := socketio.AppendEvent(nil, socketio.Head{Namespace: "/n", ID: 5, HasID: true}, array, quoted)
		p, err := decode(packet)
		if len(before) == socketio.MaxElements {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", packet, err)
		}
		after, err := socketio.Elements(p.Data)
		if err != nil || !reflect.DeepEqual(after, append(before, quoted)) {
			t.Fatalf("%q became %q", array, packet)
		}
	})
}
