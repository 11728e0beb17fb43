package parser_test

import (
	"testing"

	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/parser"
)

var (
	array = []byte(`["room message","lunch",{"id":"6d2b1c","text":"Shall we meet at the café at noon?","price":12.5}]`)
	stamp = []byte(`{"id":"1763874298-42","socket":"gw.1","user":"ann","name":"Ann","time":"2026-01-02T03:04:05Z"}`)
)

// BenchmarkEvent makes one packet for all who receive it.
func BenchmarkEvent(b *testing.B) {
	extra := [][]byte{stamp}
	for name, p := range parsers {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Event(socketio.Head{Namespace: "/admin"}, array, nil, extra...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode reads what a client sends.
func BenchmarkDecode(b *testing.B) {
	for name, p := range parsers {
		b.Run(name, func(b *testing.B) {
			data, binary := message(b, p)
			d := p.Decoder(parser.Limits{Attachments: 10, AttachmentBytes: 1000})
			b.ReportAllocs()
			for b.Loop() {
				if packet, err := d.Message(data, binary); packet == nil || err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
