package web

import (
	"net/http"
	"strings"
)

// policy is the Content-Security-Policy (https://www.w3.org/TR/CSP3/) of every page: nothing inline, nothing
// from elsewhere, nobody frames it, and text cannot become markup even by mistake, since no sink takes a
// string (https://www.w3.org/TR/trusted-types/).
const policy = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; connect-src 'self'"

// secure sets the headers that every answer has, refusals too.
func secure(h http.Header, host string) {
	connect := ""
	if isHost(host) {
		// Older browsers do not count ws: as 'self'. Naming the host keeps other hosts out.
		connect = " ws://" + host + " wss://" + host
	}
	h.Set("Content-Security-Policy", policy+connect)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// isHost says whether a Host header may stand in the policy: the client chose it, and a ";" in it would
// start a directive of the client's own.
func isHost(host string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"
	foreign := func(r rune) bool { return !strings.ContainsRune(plain, r) }
	return host != "" && strings.IndexFunc(host, foreign) < 0
}
