package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDataHeader is the greatest size of [HeaderData], in bytes. It bounds what each event of a socket carries along.
const MaxDataHeader = 8 << 10

// ErrDataElsewhere says that a message does not bring the data of its socket, which are too large for a header: ask for
// them with List.
var ErrDataElsewhere = errors.New("the socket's data are too large to come with its events")

// FormatData writes a socket's data for a message of [On]: [HeaderData] and the data, or [HeaderDataSize] and their size
// if they are larger than [MaxDataHeader]. Both are empty if there are none.
func FormatData(data []byte) (header, value string) {
	var compact bytes.Buffer
	if len(data) == 0 || string(data) == "null" || json.Compact(&compact, data) != nil {
		return "", ""
	}
	if compact.Len() <= MaxDataHeader {
		if value = ascii(compact.Bytes()); len(value) <= MaxDataHeader {
			return HeaderData, value
		}
	}
	return FormatDataSize(data)
}

// FormatDataSize writes how large a socket's data are, for a message that cannot bring them.
func FormatDataSize(data []byte) (header, value string) {
	return HeaderDataSize, strconv.Itoa(len(data))
}

// ParseData reads a socket's data from a message of [On]: nil if it has none. It fails with [ErrDataElsewhere], or
// [ErrBadHeader].
func ParseData(h Header) (json.RawMessage, error) {
	if size := Last(h, HeaderDataSize); size != "" {
		return nil, fmt.Errorf("%w: %s bytes of JSON, events bring %d", ErrDataElsewhere, clip(size), MaxDataHeader)
	}
	value := Last(h, HeaderData)
	if value == "" {
		return nil, nil
	}
	if !json.Valid([]byte(value)) {
		return nil, fmt.Errorf("%w: %s: %s is not JSON", ErrBadHeader, HeaderData, clip(value))
	}
	return json.RawMessage(value), nil
}

// ascii escapes what not every NATS client reads from a header as UTF-8.
func ascii(text []byte) string {
	b := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r < 0x7f {
			b = append(b, byte(r))
			continue
		}
		if first, second := utf16.EncodeRune(r); first != utf8.RuneError {
			b = fmt.Appendf(b, `\u%04x\u%04x`, first, second)
			continue
		}
		b = fmt.Appendf(b, `\u%04x`, r)
	}
	return string(b)
}
