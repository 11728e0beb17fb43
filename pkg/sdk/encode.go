package sdk

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/natter-io/natter/pkg/contract"
)

// reserved are the names that Socket.IO clients refuse to hear or emit themselves.
var reserved = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

// encodeEvent makes the event array. See [encodeArray] for the arguments.
func encodeEvent(event string, args []any) (text []byte, attachments [][]byte, err error) {
	if slices.Contains(reserved, event) {
		return nil, nil, fmt.Errorf("%w: %q", ErrReservedEvent, event)
	}
	return encodeArray(append([]any{event}, args...))
}

// encodeArray makes a JSON array and the binary attachments that its placeholders number. A []byte that is
// a value itself or an element of maps and slices, at any depth, becomes an attachment; inside a struct it
// is base64 text, as encoding/json has it. A json.RawMessage that is a value itself is taken byte for byte.
func encodeArray(values []any) (text []byte, attachments [][]byte, err error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // clients compare bytes: what JSON.stringify leaves alone stays
	b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		if raw, ok := v.(json.RawMessage); ok && raw != nil {
			if !json.Valid(raw) {
				return nil, nil, fmt.Errorf("argument %d: a json.RawMessage that is not JSON", i)
			}
			b.Write(raw)
			continue
		}
		if v, err = extract(v, &attachments, 0); err == nil {
			err = enc.Encode(v)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("argument %d: %w", i, err)
		}
		b.Truncate(b.Len() - 1) // the encoder's newline
	}
	b.WriteByte(']')
	if len(attachments) > contract.MaxAttachments {
		return nil, nil, fmt.Errorf("%w: %d, at most %d are allowed", ErrTooManyAttachments, len(attachments), contract.MaxAttachments)
	}
	return b.Bytes(), attachments, nil
}

// encodeJSON is json.Marshal without HTML escaping.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// placeholder stands in the JSON text for an attachment (Socket.IO protocol v5, packet encoding).
type placeholder struct {
	Placeholder bool `json:"_placeholder"`
	Num         int  `json:"num"`
}

// maxDepth ends the search for []byte in values that hold themselves.
const maxDepth = 200

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	anyType       = reflect.TypeFor[any]()
)

// extract returns v with each []byte replaced by a placeholder. It copies maps and slices only when they can
// hold one, and never changes the caller's.
func extract(v any, attachments *[][]byte, depth int) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int, int64, float64, json.RawMessage, json.Number:
		return v, nil
	case []byte:
		return attach(v, attachments), nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	value := reflect.ValueOf(v)
	t := value.Type()
	if !mayHoldBytes(t) || t.Implements(jsonMarshaler) || t.Implements(textMarshaler) {
		return v, nil
	}
	switch t.Kind() {
	case reflect.Slice:
		if value.IsNil() {
			return nil, nil
		}
		if t.Elem().Kind() == reflect.Uint8 {
			return attach(value.Bytes(), attachments), nil
		}
		copied := make([]any, value.Len())
		for i := range copied {
			element, err := extract(value.Index(i).Interface(), attachments, depth+1)
			if err != nil {
				return nil, err
			}
			copied[i] = element
		}
		return copied, nil
	default: // a map
		if value.IsNil() {
			return nil, nil
		}
		return extractMap(value, attachments, depth)
	}
}

// extractMap walks the keys in the order in which encoding/json writes them, so that attachments are numbered
// in the order of the text.
func extractMap(value reflect.Value, attachments *[][]byte, depth int) (any, error) {
	keys := value.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		return bytes.Compare(fmt.Append(nil, a.Interface()), fmt.Append(nil, b.Interface()))
	})
	copied := reflect.MakeMapWithSize(reflect.MapOf(value.Type().Key(), anyType), len(keys))
	for _, key := range keys {
		element, err := extract(value.MapIndex(key).Interface(), attachments, depth+1)
		if err != nil {
			return nil, err
		}
		if element == nil {
			copied.SetMapIndex(key, reflect.Zero(anyType))
			continue
		}
		copied.SetMapIndex(key, reflect.ValueOf(element))
	}
	return copied.Interface(), nil
}

// attach keeps a nil []byte null, as encoding/json does.
func attach(data []byte, attachments *[][]byte) any {
	if data == nil {
		return nil
	}
	*attachments = append(*attachments, data)
	return placeholder{true, len(*attachments) - 1}
}

// mayHoldBytes says whether a value of the type is, or can hold, a []byte that becomes an attachment. A type
// that holds itself may, for all it knows.
func mayHoldBytes(t reflect.Type) bool {
	for range maxDepth {
		switch t.Kind() {
		case reflect.Interface:
			return true
		case reflect.Map:
			t = t.Elem()
		case reflect.Slice:
			if t.Elem().Kind() == reflect.Uint8 {
				return true
			}
			t = t.Elem()
		default:
			return false
		}
	}
	return true
}
