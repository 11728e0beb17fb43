package transport

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// compressor is what the writers of both content codings have in common.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// The content codings that poll answers may have, RFC 9110 section 8.4.1, in order of preference: those
// of stock servers.
var codings = []struct {
	name    string
	writers *sync.Pool
}{
	{"gzip", &sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for unknown levels only
		return w
	}}},
	{"deflate", &sync.Pool{New: func() any {
		w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed)
		return w
	}}},
}

// contentCoding returns the coding that a client with these Accept-Encoding fields likes best, "" if it takes none
// of ours: RFC 9110 section 12.5.3.
func contentCoding(accepted []string) string {
	best, most := "", 0.0
	for _, c := range codings {
		if q := weight(accepted, c.name); q > most {
			best, most = c.name, q
		}
	}
	return best
}

// weight is the quality value of a coding: its own, else that of *, else 0.
func weight(accepted []string, coding string) float64 {
	any := 0.0
	for _, field := range accepted {
		for element := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(element, ";")
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, coding):
				return quality(params)
			case name == "*":
				any = quality(params)
			}
		}
	}
	return any
}

// quality reads the parameter q, which is 1 if it is missing and 0 if it cannot be read.
func quality(params string) float64 {
	value, found := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q=")
	if !found {
		return 1
	}
	q, err := strconv.ParseFloat(value, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// encodeContent returns data in a content coding.
func encodeContent(coding string, data []byte) ([]byte, error) {
	writers := codings[0].writers
	for _, c := range codings {
		if c.name == coding {
			writers = c.writers
		}
	}
	var out bytes.Buffer
	out.Grow(len(data) / 2)
	w := writers.Get().(compressor)
	defer writers.Put(w)
	w.Reset(&out)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
