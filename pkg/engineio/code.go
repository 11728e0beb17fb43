package engineio

import (
	"encoding/json"
)

// Code says why a request was refused. It is what clients see in
// {"code":0,"message":"Transport unknown"}.
type Code int

// The refusals, with their wire values.
const (
	TransportUnknown   Code = iota // 0
	SessionUnknown                 // 1
	BadHandshakeMethod             // 2: a handshake is a GET
	BadRequest                     // 3
	Forbidden                      // 4
	UnsupportedVersion             // 5: EIO names a version that is not served
)

var codeMessages = [...]string{
	"Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden",
	"Unsupported protocol version",
}

// Message returns the text that belongs to the code.
func (c Code) Message() string {
	if c >= 0 && int(c) < len(codeMessages) {
		return codeMessages[c]
	}
	return codeMessages[BadRequest]
}

// Status returns the HTTP status of a refused polling request: 403 for [Forbidden], else 400.
func (c Code) Status() int {
	if c == Forbidden {
		return 403
	}
	return 400
}

// AppendError appends the JSON body of a refused polling request. An empty message stands for
// [Code.Message].
func AppendError(dst []byte, code Code, message string) []byte {
	if message == "" {
		message = code.Message()
	}
	body, err := json.Marshal(struct {
		Code    Code   `json:"code"`
		Message string `json:"message"`
	}{code, message})
	if err != nil {
		panic("engineio: a string and an integer must encode: " + err.Error())
	}
	return append(dst, body...)
}
