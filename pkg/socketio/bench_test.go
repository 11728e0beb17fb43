package socketio_test

import (
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/socketio"
)

var chat = []byte(`2["chat message",{"id":"6d2b1c","text":"Shall we meet at the café at noon?","room":"lunch"}]`)

func BenchmarkDecoderText(b *testing.B) {
	for name, text := range map[string][]byte{
		"chat": chat,
		"64kB": []byte(`2["paste","` + strings.Repeat("All work and no play. ", 3000) + `"]`),
	} {
		b.Run(name, func(b *testing.B) {
			var d socketio.Decoder
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Text(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecoderBinary(b *testing.B) {
	text, attachment := []byte(`51-["image",{"_placeholder":true,"num":0}]`), make([]byte, 1000)
	var d socketio.Decoder
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Text(text); err != nil {
			b.Fatal(err)
		}
		if p, err := d.Binary(attachment); p == nil || err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEventName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := socketio.EventName(chat[1:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValid(b *testing.B) {
	b.SetBytes(int64(len(chat) - 1))
	b.ReportAllocs()
	for b.Loop() {
		if err := socketio.Valid(chat[1:], 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkElements(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := socketio.Elements(chat[1:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	stamp, offset := []byte(`{"id":"1763874298-42","socket":"gw.1","user":null,"name":"Ann","time":1}`), []byte(`"1763874298-42"`)
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst = socketio.AppendEvent(dst[:0], socketio.Head{Namespace: "/admin"}, chat[1:], stamp, offset)
	}
}
