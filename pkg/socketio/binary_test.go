package socketio_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/socketio"
)

// binaryArray returns an event array with n placeholders.
func binaryArray(n int) string {
	var b strings.Builder
	b.WriteString(`["a"`)
	for i := range n {
		fmt.Fprintf(&b, `,{"_placeholder":true,"num":%d}`, i)
	}
	return b.String() + "]"
}

func TestBinary(t *testing.T) {
	tests := []struct {
		text string
		n    int
		want socketio.Packet
	}{
		{`51-["a",{"_placeholder":true,"num":0}]`, 1, socketio.Packet{Type: socketio.BinaryEvent, Namespace: "/"}},
		{`52-/admin,7["a",{"x":{"num":1,"_placeholder":true}},[{"\u005fplaceholder":true,"n\u0075m":0}]]`, 2,
			socketio.Packet{Type: socketio.BinaryEvent, Namespace: "/admin", ID: 7, HasID: true}},
		{`510-` + binaryArray(10), 10, socketio.Packet{Type: socketio.BinaryEvent, Namespace: "/"}},
		{`61-12[{"_placeholder":true,"num":0},{"_placeholder":false,"num":9},{"_placeholder":1}]`, 1,
			socketio.Packet{Type: socketio.BinaryAck, Namespace: "/", ID: 12, HasID: true}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%.40s", test.text), func(t *testing.T) {
			var d socketio.Decoder
			// Twice: the first packet must leave nothing behind.
			for range 2 {
				p, err := d.Text([]byte(test.text))
				if p != nil || err != nil {
					t.Fatalf("got %+v and %v before the attachments", p, err)
				}
				if pending := d.Pending(); pending == nil || pending.Type != test.want.Type || pending.Namespace != test.want.Namespace {
					t.Fatalf("pending is %+v", pending)
				}
				want := test.want
				want.Data = []byte(test.text[strings.IndexByte(test.text, '['):])
				for i := range test.n {
					if p != nil || err != nil {
						t.Fatalf("got %+v and %v after %d of %d attachments", p, err, i, test.n)
					}
					attachment := []byte{byte(i), 0xff}
					want.Attachments = append(want.Attachments, attachment)
					p, err = d.Binary(attachment)
				}
				if err != nil || p == nil || !reflect.DeepEqual(*p, want) {
					t.Fatalf("got %+v and %v, want %+v", p, err, want)
				}
				if d.Pending() != nil {
					t.Fatal("a complete packet still waits")
				}
			}
		})
	}
}

func TestFramesOutOfSequence(t *testing.T) {
	var d socketio.Decoder
	if _, err := d.Binary([]byte("x")); !errors.Is(err, socketio.ErrSequence) {
		t.Errorf("binary without a packet: got %v", err)
	}
	if _, err := d.Text([]byte(`51-["a",{"_placeholder":true,"num":0}]`)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Text([]byte(`2["a"]`)); !errors.Is(err, socketio.ErrSequence) {
		t.Errorf("text instead of an attachment: got %v", err)
	}
	if d.Pending() != nil {
		t.Error("the interrupted packet is still kept")
	}
}

func TestAttachmentLimits(t *testing.T) {
	d := socketio.Decoder{MaxAttachments: 2, MaxAttachmentBytes: 10}
	if _, err := d.Text([]byte(`53-` + binaryArray(3))); !errors.Is(err, socketio.ErrTooLarge) {
		t.Errorf("3 of 2 attachments: got %v", err)
	}
	two := []byte(`52-` + binaryArray(2))
	for _, sizes := range [][2]int{{5, 5}, {10, 0}, {0, 10}} {
		if _, err := d.Text(two); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Binary(make([]byte, sizes[0])); err != nil {
			t.Fatalf("%v: %v", sizes, err)
		}
		if p, err := d.Binary(make([]byte, sizes[1])); err != nil || p == nil {
			t.Fatalf("%v: got %v and %v", sizes, p, err)
		}
	}
	if _, err := d.Text(two); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Binary(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Binary(make([]byte, 6)); !errors.Is(err, socketio.ErrTooLarge) {
		t.Errorf("11 of 10 bytes: got %v", err)
	}
	if d.Pending() != nil {
		t.Error("the packet that is too large is still kept")
	}
}
