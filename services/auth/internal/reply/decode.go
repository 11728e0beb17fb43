package reply

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxRequest is the greatest size in bytes of a request to an endpoint.
const maxRequest = 16 << 10

// Decode reads a request: one JSON object whose fields are all known. Its error is for who wrote the
// request, and quotes none of the values, which may be secret; see [Refusal].
func Decode(data []byte, into any) error {
	if len(data) > maxRequest {
		return &invalidError{fmt.Sprintf("the request has %d bytes, at most %d are allowed", len(data), maxRequest)}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return &invalidError{"the request must be a JSON object"}
	}
	err := d.Decode(into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType):
		return &invalidError{fmt.Sprintf("the field %q must not be of the type %s", wrongType.Field, typeOnly(wrongType.Value))}
	case err != nil && isUnknownField(err):
		return &invalidError{"the request has a field that is not known here"}
	case err != nil:
		return &invalidError{"the request is not valid JSON"}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &invalidError{"the request has something after the JSON object"}
	}
	return nil
}

// typeOnly leaves the value out of "number 123".
func typeOnly(value string) string {
	kind, _, _ := bytes.Cut([]byte(value), []byte(" "))
	return string(kind)
}

// isUnknownField tells the one error of encoding/json that has no type.
func isUnknownField(err error) bool {
	var syntax *json.SyntaxError
	return !errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF)
}
