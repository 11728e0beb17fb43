package socketio

import "fmt"

// Valid checks an event array, the payload of an EVENT packet, on its way in
// either direction: a JSON array whose first element, the event's name, is a
// number or a string that is not reserved. With attachments > 0 it is the
// payload of a BINARY_EVENT and must hold exactly one placeholder for each of
// them; otherwise placeholders mean nothing.
//
// The errors are ErrPayload, ErrReserved, ErrAttachments and ErrTooLarge.
func Valid(array []byte, attachments int) error {
	s := scanner{data: array}
	if err := s.args(attachments); err != nil {
		return err
	}
	_, err := s.name(false)
	return err
}

// ValidArgs checks the payload of an ACK (with attachments > 0: BINARY_ACK)
// packet: a JSON array of any elements, or none. The errors are those of Valid
// without ErrReserved.
func ValidArgs(array []byte, attachments int) error {
	s := scanner{data: array}
	return s.args(attachments)
}

// EventName returns the name of an event array: the first element, if it is a
// string; its JSON spelling, if it is a number. It looks no further than
// that element; the errors are ErrPayload and ErrReserved. In a name, a lone surrogate
// becomes U+FFFD.
func EventName(array []byte) (string, error) {
	head := scanner{data: array}
	head.space()
	if !head.next('[') {
		return "", notAnArray(array)
	}
	head.space()
	start := head.pos
	if !head.value() {
		if head.err != nil {
			return "", head.err
		}
		return "", fmt.Errorf("%w: the event has no name", ErrPayload)
	}
	head.first, head.count = array[start:head.pos], 1
	return head.name(true)
}

// Elements splits a JSON array into its elements, each the text between the
// commas without the white space around it, as a sub-slice of array. The errors
// are ErrPayload and ErrTooLarge (more than MaxElements).
func Elements(array []byte) ([][]byte, error) {
	s := scanner{data: array, split: true, components: make([][]byte, 0, 4)}
	if err := s.args(0); err != nil {
		return nil, err
	}
	return s.components, nil
}

// Join makes a JSON array of elements, each of which must be valid JSON.
func Join(elements ...[]byte) []byte {
	size := len("[]") + len(elements)
	for _, element := range elements {
		size += len(element)
	}
	return AppendArray(make([]byte, 0, size), elements...)
}

// AppendArray appends what Join returns.
func AppendArray(dst []byte, elements ...[]byte) []byte {
	dst = append(dst, '[')
	for i, element := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, element...)
	}
	return append(dst, ']')
}

// args scans an array, and placeholders in it if there are attachments.
func (s *scanner) args(attachments int) error {
	if attachments < 0 || attachments > maxAttachments {
		return fmt.Errorf("%w: %d attachments", ErrTooLarge, attachments)
	}
	s.attachments = attachments
	s.space()
	if s.peek() != '[' {
		return notAnArray(s.data)
	}
	return s.document()
}

func notAnArray(data []byte) error {
	return fmt.Errorf("%w: %.20q… is not a JSON array", ErrPayload, data)
}

// name checks the first element of a scanned event array as an event's name,
// and returns it if it is wanted.
func (s *scanner) name(wanted bool) (string, error) {
	switch {
	case s.count == 0:
		return "", fmt.Errorf("%w: the event has no name", ErrPayload)
	case s.first[0] == '"':
		if reserved(s.first) {
			return "", fmt.Errorf("%w %s", ErrReserved, s.first)
		}
		if wanted {
			return unquote(s.first), nil
		}
		return "", nil
	case s.first[0] == '-' || isDigit(s.first[0]):
		if wanted {
			return string(s.first), nil
		}
		return "", nil
	}
	return "", fmt.Errorf("%w: the event's name must be a string or a number, not %.20q", ErrPayload, s.first)
}

// reserved reports whether a quoted name is one that Socket.IO emits itself, on
// either side, or that event emitters treat in a special way ("EVENT" in the
// protocol).
func reserved(quoted []byte) bool {
	const longest = len(`removeListener`) * len(`\u0000`)
	if len(quoted) > longest+2 {
		return false
	}
	for _, c := range quoted {
		if c == '\\' {
			return isReserved(unquote(quoted))
		}
	}
	return isReserved(string(quoted[1 : len(quoted)-1]))
}

func isReserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
