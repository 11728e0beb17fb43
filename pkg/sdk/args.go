package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/natter-io/natter/pkg/contract"
)

// Ack is what a handler answers: the arguments of the client's callback. nil is no answer, Ack{} an answer
// without arguments. []byte values become binary attachments, as in Emit.
type Ack []any

// Args are the arguments of an event or an ack. The zero value has none. Args are immutable and may be kept.
type Args struct {
	values      []json.RawMessage
	attachments [][]byte
}

var errNotArray = errors.New("not a JSON array")

// decodeArray takes a payload of the contract apart: a JSON array, followed by its attachments.
func decodeArray(h contract.Header, payload []byte) (Args, error) {
	text, attachments, err := contract.SplitPayload(h, payload)
	if err != nil {
		return Args{}, err
	}
	var values []json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil || values == nil {
		return Args{}, errors.Join(errNotArray, err)
	}
	return Args{values, attachments}, nil
}

// decodeEvent reads an event array. The name in it is not looked at: the subject has it too.
func decodeEvent(h contract.Header, payload []byte) (Args, error) {
	args, err := decodeArray(h, payload)
	if err != nil {
		return Args{}, err
	}
	if len(args.values) == 0 {
		return Args{}, errors.New("an event without a name")
	}
	args.values = args.values[1:]
	return args, nil
}

// Len is the number of arguments.
func (a Args) Len() int { return len(a.values) }

// Raw is argument i as JSON text, nil if there is no such argument. A binary attachment is
// {"_placeholder":true,"num":n} in it.
func (a Args) Raw(i int) json.RawMessage {
	if i < 0 || i >= len(a.values) {
		return nil
	}
	return a.values[i]
}

// String is argument i if it is a string, else "". Use [Args.Bind] to tell a missing argument from an empty one.
func (a Args) String(i int) string {
	var s string
	if json.Unmarshal(a.Raw(i), &s) != nil {
		return ""
	}
	return s
}

// Bytes is argument i if it is a binary attachment, else nil.
func (a Args) Bytes(i int) []byte {
	n, ok := a.number(a.Raw(i))
	if !ok {
		return nil
	}
	return a.attachments[n]
}

// Bind decodes the first arguments into the pointers, as encoding/json does; further arguments are ignored.
// A binary attachment fits a []byte, also one inside a struct; in an any it becomes base64 text.
//
// The error of a missing or unfitting argument is a [Refusal] with the code contract.CodeInvalid: a handler
// that returns it tells the client what is wrong.
func (a Args) Bind(pointers ...any) error {
	if len(pointers) > len(a.values) {
		return &Refusal{
			Code:    contract.CodeInvalid,
			Message: fmt.Sprintf("%s wanted, %d given", count(len(pointers), "argument"), len(a.values)),
		}
	}
	for i, p := range pointers {
		raw, err := a.inline(a.values[i])
		if err == nil {
			err = json.Unmarshal(raw, p)
		}
		if err != nil {
			return &Refusal{Code: contract.CodeInvalid, Message: explain(i, err), cause: err}
		}
	}
	return nil
}

// count is "1 argument", "2 arguments".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// explain says what is wrong with an argument without the names of Go types.
func explain(i int, err error) string {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return fmt.Sprintf("argument %d cannot be read", i)
	}
	where := fmt.Sprintf("argument %d", i)
	if mismatch.Field != "" {
		where += ": " + mismatch.Field
	}
	return fmt.Sprintf("%s: %s wanted, %s given", where, wanted(mismatch.Type), given(mismatch.Value))
}

// wanted says what fits a type, in words of JSON.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "binary data"
		}
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "something else"
	}
}

// given is how encoding/json describes a value ("object", "number 1.5"), with an article.
func given(value string) string {
	switch {
	case value == "bool":
		return "a boolean"
	case value == "object" || value == "array":
		return "an " + value
	case strings.HasPrefix(value, "number "):
		return "the " + value
	default:
		return "a " + value
	}
}

// number reads a placeholder of an attachment that is there.
func (a Args) number(raw json.RawMessage) (int, bool) {
	if len(a.attachments) == 0 || !bytes.Contains(raw, []byte(`_placeholder`)) {
		return 0, false
	}
	var p placeholder
	if json.Unmarshal(raw, &p) != nil || !p.Placeholder || p.Num < 0 || p.Num >= len(a.attachments) {
		return 0, false
	}
	return p.Num, true
}

// inline replaces placeholders by base64 text, which encoding/json reads into a []byte wherever it stands.
func (a Args) inline(raw json.RawMessage) (json.RawMessage, error) {
	if n, ok := a.number(raw); ok {
		return json.Marshal(a.attachments[n])
	}
	if len(a.attachments) == 0 || !bytes.Contains(raw, []byte(`_placeholder`)) {
		return raw, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(a.replace(v))
}

func (a Args) replace(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = a.replace(v[i])
		}
	case map[string]any:
		if num, ok := v["num"].(json.Number); ok && v["_placeholder"] == true {
			if n, err := num.Int64(); err == nil && n >= 0 && n < int64(len(a.attachments)) {
				return a.attachments[n]
			}
		}
		for key := range v {
			v[key] = a.replace(v[key])
		}
	}
	return v
}
