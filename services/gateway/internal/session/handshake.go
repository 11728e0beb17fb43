package session

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Handshake describes the request that opens a connection, as socket.handshake does.
func Handshake(r *transport.Request, auth []byte) contract.Handshake {
	h := contract.Handshake{
		Headers: make(map[string]string, len(r.Header)+1),
		Query:   make(map[string]string, len(r.Query)),
		Time:    r.Time.UTC(),
		Issued:  r.Time.UnixMilli(),
		Address: r.RemoteAddr,
		Secure:  r.Secure,
		URL:     r.URL,
		Auth:    auth,
	}
	for name, values := range r.Header {
		h.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	h.Headers["host"] = r.Host
	_, h.XDomain = r.Header[http.CanonicalHeaderKey("Origin")]
	for name, values := range r.Query {
		h.Query[name] = values[0]
	}
	return h
}

// presentsToken says whether auth is an object with a token other than null and "".
func presentsToken(auth json.RawMessage) bool {
	var a struct {
		Token json.RawMessage `json:"token"`
	}
	if json.Unmarshal(auth, &a) != nil {
		return false
	}
	switch string(a.Token) {
	case "", "null", `""`:
		return false
	}
	return true
}

// maxName is the greatest length of a chosen name, in characters.
const maxName = 64

// chosenName is the name that a client gives in auth, without control characters and cut to maxName; "" if
// it gives none.
func chosenName(auth json.RawMessage) string {
	var a struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(auth, &a) != nil {
		return ""
	}
	name := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, a.Name))
	if utf8.RuneCountInString(name) > maxName {
		name = string([]rune(name)[:maxName])
	}
	return name
}
