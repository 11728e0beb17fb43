package session

import (
	"net/url"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

func TestAuthFromQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                                  `{}`,
		"EIO=3&transport=polling&t=N&b64=1": `{}`,
		"token=a%2Cb%26c&EIO=3":             `{"token":"a,b&c"}`,
		"a=1&a=2&b":                         `{"a":"1","b":""}`,
		"name=%3Cb%3E&bad=%zz":              `{"name":"<b>"}`,
	} {
		values, _ := url.ParseQuery(query)
		if got := string(authFromQuery(values)); got != want {
			t.Errorf("%q: got %s, want %s", query, got, want)
		}
	}
}

func TestForgetToken(t *testing.T) {
	for in, want := range map[string]string{
		"/socket.io/":                             "/socket.io/",
		"/socket.io/?EIO=3":                       "/socket.io/?EIO=3",
		"/socket.io/?EIO=3&token=x&seat=7":        "/socket.io/?EIO=3&seat=7",
		"/socket.io/?token=x":                     "/socket.io/?",
		"/socket.io/?%74oken=x&token&a=token":     "/socket.io/?a=token",
		"/socket.io/?tokens=x&my-token=y&token=z": "/socket.io/?tokens=x&my-token=y",
	} {
		h := contract.Handshake{URL: in, Query: map[string]string{"token": "x", "seat": "7"}}
		forgetToken(&h)
		if h.URL != want || len(h.Query) != 1 || h.Query["seat"] != "7" {
			t.Errorf("%s: got %s, %v, want %s", in, h.URL, h.Query, want)
		}
	}
}

func FuzzForgetToken(f *testing.F) {
	for _, s := range []string{"", "token=x", "a=b&%74oken=x", "a;token=x", "?token=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		before, _ := url.ParseQuery(query)
		h := contract.Handshake{URL: "/socket.io/?" + query}
		forgetToken(&h)
		_, rest, _ := strings.Cut(h.URL, "?")
		after, _ := url.ParseQuery(rest)
		if after.Has("token") {
			t.Errorf("%q became %q", query, rest)
		}
		before.Del("token")
		if before.Encode() != after.Encode() {
			t.Errorf("%q became %q: other parameters changed", query, rest)
		}
	})
}
