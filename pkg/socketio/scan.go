package socketio

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// scanner checks JSON text (RFC 8259) in one pass, without decoding it. Beyond
// validity it notes what the protocol asks about an array: how many elements
// there are, where the first one stands, and which attachments are referred to.
//
// Unlike encoding/json.Valid it refuses invalid UTF-8: a browser ends the
// connection that carries it in a text frame, so one client could disconnect
// all those that its event is relayed to.
type scanner struct {
	data  []byte
	pos   int
	depth int
	err   error // why scanning stopped, if it is not plain invalid JSON

	// about the outermost array
	count      int
	first      []byte
	split      bool // collect the elements
	components [][]byte

	// about every array and object, in the order in which they open, if shape is not nil
	shape []uint32 // how many elements or members, or placeholderShape and the attachment's number

	// about attachments, if there are any
	attachments int
	seen        uint64 // bit i: a placeholder with "num":i was found
}

// document scans one value with optional white space around it.
func (s *scanner) document() error {
	s.space()
	if s.value() {
		s.space()
		if s.pos == len(s.data) {
			return s.unreferenced()
		}
	}
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: not valid JSON at byte %d of %d", ErrPayload, s.pos, len(s.data))
}

// isSpace reports whether c is JSON white space.
func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func (s *scanner) space() {
	for s.pos < len(s.data) && isSpace(s.data[s.pos]) {
		s.pos++
	}
}

// peek returns the byte at the position, 0 at the end (which no JSON token
// starts with).
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// next consumes c, if it stands at the position.
func (s *scanner) next(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// fail stops the scan with an error of its own.
func (s *scanner) fail(err error) bool {
	s.err = err
	return false
}

// value consumes one value. The position is where it went wrong, if it did.
func (s *scanner) value() bool {
	switch s.peek() {
	case '"':
		return s.string()
	case '{':
		return s.enter() && s.object() && s.leave()
	case '[':
		return s.enter() && s.array() && s.leave()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

func (s *scanner) enter() bool {
	s.pos++ // the bracket
	s.depth++
	if s.depth > MaxDepth {
		return s.fail(fmt.Errorf("%w: nested deeper than %d at byte %d", ErrTooLarge, MaxDepth, s.pos))
	}
	return true
}

func (s *scanner) leave() bool {
	s.depth--
	return true
}

func (s *scanner) array() bool {
	outermost := s.depth == 1
	slot, n := s.open(), uint32(0)
	s.space()
	if s.next(']') {
		return true
	}
	for {
		start := s.pos
		if !s.value() {
			return false
		}
		if outermost && !s.element(s.data[start:s.pos:s.pos]) {
			return false
		}
		n++
		s.space()
		if s.next(']') {
			s.close(slot, n)
			return true
		}
		if !s.next(',') {
			return false
		}
		s.space()
	}
}

// element notes one element of the outermost array.
func (s *scanner) element(raw []byte) bool {
	if s.count == 0 {
		s.first = raw
	}
	s.count++
	if s.count > MaxElements {
		return s.fail(fmt.Errorf("%w: more than %d array elements", ErrTooLarge, MaxElements))
	}
	if s.split {
		s.components = append(s.components, raw)
	}
	return true
}

func (s *scanner) object() bool {
	slot, n := s.open(), uint32(0)
	s.space()
	if s.next('}') {
		return true
	}
	var mark placeholder
	for {
		key := s.pos
		if s.peek() != '"' || !s.string() {
			return false
		}
		keyEnd := s.pos
		s.space()
		if !s.next(':') {
			return false
		}
		s.space()
		start := s.pos
		if !s.value() {
			return false
		}
		if s.attachments > 0 {
			mark.member(s.data[key:keyEnd], s.data[start:s.pos])
		}
		n++
		s.space()
		if s.next('}') {
			if mark.is {
				num, ok := s.refer(mark)
				s.close(slot, placeholderShape|uint32(num))
				return ok
			}
			s.close(slot, n)
			return true
		}
		if !s.next(',') {
			return false
		}
		s.space()
	}
}

// placeholderShape marks the shape of a placeholder. No text is long enough for so many elements.
const placeholderShape = 1 << 31

// open makes room for the shape of an array or object, if shapes are wanted.
func (s *scanner) open() int {
	if s.shape == nil {
		return 0
	}
	s.shape = append(s.shape, 0)
	return len(s.shape) - 1
}

// close notes the shape for which open made room.
func (s *scanner) close(slot int, shape uint32) {
	if s.shape != nil {
		s.shape[slot] = shape
	}
}

func (s *scanner) literal(word string) bool {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return false
	}
	s.pos += len(word)
	return true
}

// digits consumes one or more digits.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) number() bool {
	s.next('-')
	if !s.next('0') && !s.digits() {
		return false
	}
	if s.next('.') && !s.digits() {
		return false
	}
	if s.next('e') || s.next('E') {
		if !s.next('+') {
			s.next('-')
		}
		return s.digits()
	}
	return true
}

// plain marks the bytes that need no look inside a string: ASCII without
// control characters, quote and backslash.
var plain = func() (table [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

func (s *scanner) string() bool {
	s.pos++ // the opening quote
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case plain[c]:
			s.pos++
		case c == '"':
			s.pos++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return s.fail(fmt.Errorf("%w: not valid UTF-8 at byte %d of %d", ErrPayload, s.pos, len(s.data)))
			}
			s.pos += size
		default: // a control character
			return false
		}
	}
	return false
}

// escape consumes a backslash and what it escapes. A lone surrogate is valid:
// it is text here, and stays as it is.
func (s *scanner) escape() bool {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		s.pos++
		for range 4 {
			c := s.peek()
			if !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
			s.pos++
		}
		return true
	}
	return false
}

// unquote decodes a valid JSON string.
func unquote(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	for _, c := range inner {
		if c == '\\' {
			var text string
			// raw has been scanned: it is a valid string, so this cannot fail.
			_ = json.Unmarshal(raw, &text)
			return text
		}
	}
	return string(inner)
}
