package socketio

import (
	"bytes"
	"fmt"
	"math/bits"
)

// placeholder collects what an object says about itself while it is scanned.
// {"_placeholder":true,"num":i} stands for attachment i, in packets that have
// attachments; in all others it is an object like any other.
type placeholder struct {
	is      bool   // its last "_placeholder" is true
	num     []byte // the text of its last "num"
	members int
}

// member notes one member of the object; key still has its quotes.
func (p *placeholder) member(key, value []byte) {
	p.members++
	switch {
	case keyIs(key, `"_placeholder"`):
		p.is = string(value) == "true"
	case keyIs(key, `"num"`):
		p.num = value
	}
}

// keyIs compares a quoted key, which may be spelled with escapes.
func keyIs(key []byte, quoted string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key) == quoted
	}
	return unquote(key) == quoted[1:len(quoted)-1]
}

// refer notes that the payload refers to an attachment, and returns its number. The placeholder must be
// exactly what encoders write: with a number out of range, or anything else in
// it, receivers would replace the wrong thing (CVE-2022-2421).
func (s *scanner) refer(p placeholder) (int, bool) {
	num := 0
	for _, c := range p.num {
		if !isDigit(c) || num >= maxAttachments {
			num = maxAttachments
			break
		}
		num = num*10 + int(c-'0')
	}
	if p.members != 2 || len(p.num) == 0 || num >= s.attachments {
		return 0, s.fail(fmt.Errorf("%w: placeholder with num %.20q in a packet of %d attachments", ErrAttachments, p.num, s.attachments))
	}
	bit := uint64(1) << num
	if s.seen&bit != 0 {
		return 0, s.fail(fmt.Errorf("%w: two placeholders for attachment %d", ErrAttachments, num))
	}
	s.seen |= bit
	return num, true
}

// unreferenced fails if there are attachments without a placeholder.
func (s *scanner) unreferenced() error {
	if found := bits.OnesCount64(s.seen); found != s.attachments {
		return fmt.Errorf("%w: %d placeholders for %d attachments", ErrAttachments, found, s.attachments)
	}
	return nil
}
