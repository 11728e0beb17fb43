package transport

import (
	"net/http"
	"net/url"
	"time"
)

// Request is the HTTP request that opened a connection. It is kept as long as the connection, and
// nobody may change it.
type Request struct {
	Header     http.Header
	Host       string
	URL        string     // as sent: path and query
	Query      url.Values // the URL's query
	RemoteAddr string     // host:port of the peer, which may be a proxy
	Secure     bool       // the request came over TLS
	Time       time.Time
}

func newRequest(r *http.Request, query url.Values) *Request {
	return &Request{
		Header:     r.Header,
		Host:       r.Host,
		URL:        r.URL.RequestURI(),
		Query:      query,
		RemoteAddr: r.RemoteAddr,
		Secure:     r.TLS != nil,
		Time:       time.Now(),
	}
}
