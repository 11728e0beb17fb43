package transport

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTransportsOption(t *testing.T) {
	s := newServer(t, Options{Transports: []string{Polling}})
	if a := s.do("GET", "EIO=4&transport=polling", ""); !strings.Contains(a.body, `"upgrades":[]`) {
		t.Errorf("got %s", a.body)
	}
	if _, res, err := s.dialRaw("EIO=4&transport=websocket", nil); err == nil || res.StatusCode != 400 {
		t.Errorf("websocket was not refused: %v", err)
	}
}

func TestNoUpgrades(t *testing.T) {
	s := newServer(t, Options{NoUpgrades: true})
	a := s.do("GET", "EIO=4&transport=polling", "")
	if !strings.Contains(a.body, `"upgrades":[]`) {
		t.Errorf("got %s", a.body)
	}
	id := sid(t, a.body)
	if _, res, err := s.dialRaw("EIO=4&transport=websocket&sid="+id, nil); err == nil || res.StatusCode != 400 {
		t.Errorf("an upgrade was not refused: %v", err)
	}
	s.openWS()
	s.post(id, "4still here").want(t, 200, "ok")
	s.peer(id).wantMessage(t, "still here")
}

func TestNoTrailingSlash(t *testing.T) {
	s := newServer(t, Options{NoTrailingSlash: true})
	for path, want := range map[string]int{
		"/socket.io?EIO=4&transport=polling":  200,
		"/socket.io/?EIO=4&transport=polling": 200,
		"/socket.iox?EIO=4&transport=polling": 404,
		"/?EIO=4&transport=polling":           404,
	} {
		res, err := s.http.Client().Get(s.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
		}
	}
}

func TestCookie(t *testing.T) {
	for want, cookie := range map[string]http.Cookie{
		"io=%; Path=/; HttpOnly; SameSite=Lax":                                {Name: "io", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode},
		"lb=%; Path=/x; Domain=a.example; Max-Age=60; Secure; SameSite=None":  {Name: "lb", Path: "/x", Domain: "a.example", MaxAge: 60, Secure: true, SameSite: http.SameSiteNoneMode},
		"__Host-lb=%; Path=/; HttpOnly; Secure; SameSite=Strict; Partitioned": {Name: "__Host-lb", Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode, Partitioned: true},
	} {
		s := newServer(t, Options{Name: "gw", Cookie: &cookie})
		a := s.do("GET", "EIO=4&transport=polling", "")
		id := sid(t, a.body)
		if got, want := a.header.Get("Set-Cookie"), strings.Replace(want, "%", id, 1); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		s.post(id, "4a")
		if a := s.post(id, "4a"); a.header.Get("Set-Cookie") != "" {
			t.Error("the cookie is set again")
		}
		_, res, err := s.dialRaw("EIO=4&transport=websocket", nil)
		if err != nil || res.Header.Get("Set-Cookie") != "" {
			t.Errorf("a WebSocket handshake sets %q, %v", res.Header.Get("Set-Cookie"), err)
		}
	}
}

func TestCORS(t *testing.T) {
	s := newServer(t, Options{CORS: CORS{Origins: []string{"https://good.example"}, Credentials: true, MaxAge: time.Minute, ExposedHeaders: []string{"X-A", "X-B"}}})
	const q = "EIO=4&transport=polling"
	good := s.do("GET", q, "", "Origin", "https://good.example")
	if h := good.header; h.Get("Access-Control-Allow-Origin") != "https://good.example" || h.Get("Access-Control-Allow-Credentials") != "true" ||
		h.Get("Vary") != "Origin" || h.Get("Access-Control-Expose-Headers") != "X-A,X-B" {
		t.Errorf("good origin: %v", h)
	}
	if h := s.do("GET", q, "", "Origin", "https://evil.example").header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Expose-Headers") != "" {
		t.Errorf("other origin: %v", h)
	}
	if a := s.do("GET", "", "", "Origin", "https://good.example"); a.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("an error that the page cannot read: %v", a.header)
	}
	pre := s.do("OPTIONS", q, "", "Origin", "https://good.example", "Access-Control-Request-Headers", "x-token")
	if h := pre.header; pre.status != 204 || h.Get("Access-Control-Allow-Headers") != "x-token" || h.Get("Access-Control-Allow-Methods") != "GET,POST" || h.Get("Access-Control-Max-Age") != "60" {
		t.Errorf("preflight: %d %v", pre.status, h)
	}
	for origin, ok := range map[string]bool{"https://good.example": true, "https://evil.example": false, s.http.URL: true, "": true} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		if _, _, err := s.dialRaw("EIO=4&transport=websocket", header); (err == nil) != ok {
			t.Errorf("WebSocket from %q: %v", origin, err)
		}
	}
	all := newServer(t, Options{CORS: CORS{Origins: []string{"*"}, Methods: []string{"GET", "PUT"}, AllowedHeaders: []string{"X-Token"}, Status: 200}})
	if h := all.do("GET", q, "", "Origin", "https://any.example").header; h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("any origin: %v", h)
	}
	pre = all.do("OPTIONS", q, "", "Origin", "https://any.example", "Access-Control-Request-Headers", "x-other")
	if h := pre.header; pre.status != 200 || h.Get("Access-Control-Allow-Headers") != "X-Token" || h.Get("Access-Control-Allow-Methods") != "GET,PUT" {
		t.Errorf("preflight: %d %v", pre.status, h)
	}
}

func TestOriginPatterns(t *testing.T) {
	for origin, tt := range map[string]struct{ yes, no []string }{
		"https://a.example": {
			yes: []string{"https://a.example"},
			no:  []string{"http://a.example", "https://a.example:1", "https://b.a.example", "https://a.example.evil", "null", ""},
		},
		"https://*.a.example": {
			yes: []string{"https://b.a.example", "https://c.b.a.example", "https://x_-1.a.example"},
			no: []string{
				"https://a.example", "http://b.a.example", "https://b.a.example:1", "https://.a.example", "https://evila.example", "https://evil?.a.example",
				"https://evil/.a.example", "https://evil#.a.example", "https://u@b.a.example", "https://b.a.example.evil", "https://*.a.example/", "https://a b.a.example",
			},
		},
		"http://localhost:*": {
			yes: []string{"http://localhost", "http://localhost:1", "http://localhost:65535"},
			no:  []string{"http://localhost:x", "http://localhost.evil:1", "https://localhost:1", "http://evil:1"},
		},
		"http://*.a.example:*":  {yes: []string{"http://b.a.example:80", "http://b.a.example"}, no: []string{"http://a.example:80"}},
		"http://*.a.example:90": {yes: []string{"http://b.a.example:90"}, no: []string{"http://b.a.example", "http://b.a.example:9"}},
		"http://[::1]:*":        {yes: []string{"http://[::1]", "http://[::1]:80"}, no: []string{"http://[::2]:80"}},
		"capacitor://localhost": {yes: []string{"capacitor://localhost"}, no: []string{"http://localhost"}},
	} {
		c := CORS{Origins: []string{"https://other.example", origin}}
		if err := c.validate(); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
		for _, o := range tt.yes {
			if !c.allows(o) {
				t.Errorf("%s does not allow %q", origin, o)
			}
		}
		for _, o := range tt.no {
			if c.allows(o) {
				t.Errorf("%s allows %q", origin, o)
			}
		}
	}
}

// FuzzOriginPattern: nothing but hosts below the one that is named is allowed.
func FuzzOriginPattern(f *testing.F) {
	for _, s := range []string{"https://b.a.example", "https://.a.example", "https://evil/.a.example:1", "https://a.example:"} {
		f.Add(s)
	}
	c := CORS{Origins: []string{"https://*.a.example:*"}}
	f.Fuzz(func(t *testing.T, origin string) {
		if !c.allows(origin) {
			return
		}
		r, err := http.NewRequest("GET", origin, nil)
		if err != nil || r.URL.Scheme != "https" || !strings.HasSuffix(r.URL.Hostname(), ".a.example") || r.URL.Path != "" || r.URL.User != nil {
			t.Errorf("%q is allowed: %v", origin, err)
		}
	})
}

func TestOptionsValidate(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for want, o := range map[string]Options{
		`path: "x/"`:                             {Path: "x"},
		"pingInterval: -1s":                      {PingInterval: -time.Second},
		"upgradeTimeout: 1ns":                    {UpgradeTimeout: 1},
		"maxHttpBufferSize: -1":                  {MaxPayload: -1},
		"maxConnections: -1":                     {MaxConnections: -1},
		"perMessageDeflate: -1":                  {PerMessageDeflate: -1},
		`transports: "smoke"`:                    {Transports: []string{"smoke"}},
		`cookie: "a b"`:                          {Cookie: &http.Cookie{Name: "a b"}},
		`cookie: "a"`:                            {Cookie: &http.Cookie{Name: "a", Path: "/;"}},
		`cors.origin: "a.example"`:               {CORS: CORS{Origins: []string{"a.example"}}},
		`cors.origin: "https://*"`:               {CORS: CORS{Origins: []string{"https://*"}}},
		`cors.origin: "https://*a"`:              {CORS: CORS{Origins: []string{"https://*a"}}},
		`cors.origin: "*://a"`:                   {CORS: CORS{Origins: []string{"*://a"}}},
		`cors.origin: "https://a/"`:              {CORS: CORS{Origins: []string{"https://a/"}}},
		`cors.origin: "https://*.*"`:             {CORS: CORS{Origins: []string{"https://*.*"}}},
		`cors.origin: "*" with cors.credentials`: {CORS: CORS{Origins: []string{"*"}, Credentials: true}},
		`cors.methods: "G T"`:                    {CORS: CORS{Methods: []string{"G T"}}},
		`cors.allowedHeaders: ""`:                {CORS: CORS{AllowedHeaders: []string{""}}},
		`cors.exposedHeaders: "a:"`:              {CORS: CORS{ExposedHeaders: []string{"a:"}}},
		"cors.maxAge: -1s":                       {CORS: CORS{MaxAge: -time.Second}},
		"cors.optionsSuccessStatus: 404":         {CORS: CORS{Status: 404}},
	} {
		_, err := New(o, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
}
