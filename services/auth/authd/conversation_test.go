package authd

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/auth/internal/middleware"
)

func TestConversation(t *testing.T) {
	server := natstest.Run(t)
	start(t, server)
	c := newClient(t, server)

	admin := c.ask("login", `{"name":" ADMIN ","password":"`+adminPassword+`","address":"192.0.2.1:5000"}`)
	if !admin.OK || admin.Name != "admin" || !slices.Equal(admin.Roles, []string{"admin"}) || time.Until(admin.Expires) < 11*time.Hour {
		t.Fatalf("login: %+v", admin)
	}
	if a := c.mustEnter(admin.Token); !a.OK || a.User != admin.userID(t) || a.Name != "admin" || !slices.Equal(a.Roles, []string{"admin"}) || !a.Expires.Equal(admin.Expires) {
		t.Errorf("the admin's entry: %+v", a)
	}

	made := c.ask("create", `{"name":"Alice","password":"password1","roles":["writer"]}`)
	if !made.OK || made.created(t).Name != "Alice" || made.created(t).ID == "" || !slices.Equal(made.created(t).Roles, []string{"writer"}) || made.created(t).Created.IsZero() {
		t.Fatalf("create: %+v", made)
	}
	alice := made.created(t)
	if r := c.ask("create", `{"name":"ALICE","password":"password2"}`); r.Code != contract.CodeConflict || r.status != "409" {
		t.Errorf("a name twice: %+v", r)
	}
	for _, request := range []string{"", "{}"} {
		if r := c.ask("users", request); !r.OK || len(r.Users) != 2 || r.Users[0].Name != "admin" || r.Users[1].ID != alice.ID {
			t.Errorf("users: %+v", r)
		}
	}

	session := c.signIn("alice", "password1")
	if a := c.mustEnter(session.Token); !a.OK || a.User != alice.ID || a.Name != "Alice" || !slices.Equal(a.Roles, []string{"writer"}) {
		t.Errorf("Alice's entry: %+v", a)
	}
	facts, err := c.SubscribeSync("natter.event.user.deleted")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if r := c.ask("delete", `{"user":"`+alice.ID+`","by":"`+admin.userID(t)+`"}`); !r.OK {
		t.Fatalf("delete: %+v", r)
	}
	var fact contract.UserDeleted
	if msg, err := facts.NextMsg(5 * time.Second); err != nil || json.Unmarshal(msg.Data, &fact) != nil || fact.User != alice.ID || fact.By != admin.userID(t) {
		t.Errorf("the fact: %+v, %v", fact, err)
	}
	if a := c.mustEnter(session.Token); a.OK || a.Message != middleware.MessageDeleted || string(a.Data) != `{"code":"unauthorized"}` {
		t.Errorf("a deleted user's entry: %+v", a)
	}
	if r := c.ask("login", `{"name":"alice","password":"password1"}`); r.Code != "unauthorized" || r.status != "401" {
		t.Errorf("a deleted user's login: %+v", r)
	}
	// Who takes the name next is somebody else.
	if r := c.ask("create", `{"name":"Alice","password":"password3"}`); !r.OK || r.created(t).ID == alice.ID {
		t.Errorf("create again: %+v", r)
	}
	if a := c.mustEnter(session.Token); a.OK || a.Message != middleware.MessageDeleted {
		t.Errorf("the old token after that: %+v", a)
	}
	if r := c.ask("delete", `{"user":"`+admin.userID(t)+`"}`); r.Code != contract.CodeConflict || r.status != "409" {
		t.Errorf("deleting the last admin: %+v", r)
	}
	if r := c.ask("delete", `{"user":"u_nobody"}`); r.Code != contract.CodeNotFound || r.status != "404" {
		t.Errorf("deleting nobody: %+v", r)
	}
}

func TestRefusedRequests(t *testing.T) {
	server := natstest.Run(t)
	start(t, server)
	c := newClient(t, server)
	long := strings.Repeat("x", 300)
	for _, r := range []struct{ endpoint, request, code string }{
		{"login", ``, "invalid"},
		{"login", `null`, "invalid"},
		{"login", `hello`, "invalid"},
		{"login", `[]`, "invalid"},
		{"login", `{"name":"admin"`, "invalid"},
		{"login", `{"name":"admin","password":"x"}{}`, "invalid"},
		{"login", `{"name":"admin","password":"x","admin":true}`, "invalid"},
		{"login", `{"name":"admin","password":["x"]}`, "invalid"},
		{"login", `{"name":"admin","password":"x","address":"` + long + `"}`, "invalid"},
		{"login", `{"name":"` + strings.Repeat("x", 20_000) + `","password":"x"}`, "invalid"},
		{"login", `{}`, "unauthorized"},
		{"login", `{"name":"admin","password":""}`, "unauthorized"},
		{"login", `{"name":"admin","password":"wrong password"}`, "unauthorized"},
		{"login", `{"name":"nobody","password":"wrong password"}`, "unauthorized"},
		{"login", `{"name":"` + long + `","password":"wrong password"}`, "unauthorized"},
		{"login", `{"name":"nobody","password":"` + long + `"}`, "unauthorized"},
		{"users", `[]`, "invalid"},
		{"users", `{"page":1}`, "invalid"},
		{"create", `{}`, "invalid"},
		{"create", `{"name":"x"}`, "invalid"},
		{"create", `{"name":"x","password":"1234567"}`, "invalid"},
		{"create", `{"name":"x","password":"` + long + `"}`, "invalid"},
		{"create", `{"name":"  ","password":"password1"}`, "invalid"},
		{"create", `{"name":"a\u0000b","password":"password1"}`, "invalid"},
		{"create", `{"name":"` + long + `","password":"password1"}`, "invalid"},
		{"create", `{"name":"x","password":"password1","roles":["a b"]}`, "invalid"},
		{"create", `{"name":"x","password":"password1","roles":"admin"}`, "invalid"},
		{"create", `{"name":"x","password":"password1","id":"u_x"}`, "invalid"},
		{"delete", ``, "invalid"},
		{"delete", `{}`, "invalid"},
		{"delete", `{"user":"u_x","by":"` + long + `"}`, "invalid"},
		{"delete", `{"user":"u_x","force":true}`, "invalid"},
	} {
		if got := c.ask(r.endpoint, r.request); got.OK || got.Code != r.code {
			t.Errorf("%s %.80s: %q %q; want %q", r.endpoint, r.request, got.Code, got.Message, r.code)
		}
	}
	wrong, nobody := c.ask("login", `{"name":"admin","password":"wrong password"}`), c.ask("login", `{"name":"nobody","password":"wrong password"}`)
	if wrong.Message != nobody.Message {
		t.Errorf("the messages %q and %q tell which names exist", wrong.Message, nobody.Message)
	}
	if r := c.ask("users", ""); len(r.Users) != 1 {
		t.Errorf("a refused request made an account: %+v", r.Users)
	}
}

func TestRefusedEntries(t *testing.T) {
	server := natstest.Run(t)
	start(t, server)
	c := newClient(t, server)
	token := c.signIn("admin", adminPassword).Token
	parts := strings.Split(token, ".")
	b64 := base64.RawURLEncoding
	payload, err := b64.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	none := b64.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	hmac, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "u_x", "name": "admin"}).SignedString([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	tampered := b64.EncodeToString([]byte(strings.Replace(string(payload), `"admin"`, `"Admin"`, 1)))
	for auth, message := range map[string]string{
		`{}`:                            middleware.MessageNoToken,
		`{"token":""}`:                  middleware.MessageNoToken,
		`{"token":7}`:                   middleware.MessageInvalid,
		`{"token":"x"}`:                 middleware.MessageInvalid,
		`{"token":"` + hmac + `"}`:      middleware.MessageInvalid,
		`{"token":"` + token[1:] + `"}`: middleware.MessageInvalid,
		`{"token":"` + token + `x"}`:    middleware.MessageInvalid,
		`{"token":" ` + token + `"}`:    middleware.MessageInvalid,
		`{"token":"` + none + `.` + parts[1] + `."}`:                      middleware.MessageInvalid,
		`{"token":"` + none + `.` + parts[1] + `.` + parts[2] + `"}`:      middleware.MessageInvalid,
		`{"token":"` + parts[0] + `.` + tampered + `.` + parts[2] + `"}`:  middleware.MessageInvalid,
		`{"token":"` + strings.Repeat("x", 500_000) + `"}`:                middleware.MessageInvalid,
		`{"token":"` + token + `.` + strings.Repeat("x", 500_000) + `"}`:  middleware.MessageInvalid,
		`[` + strings.TrimSuffix(strings.Repeat(`"x",`, 1000), ",") + `]`: middleware.MessageNoToken,
	} {
		a, err := c.enter(auth, 15*time.Second)
		if err != nil || a.OK || a.User != "" || a.Message != message || string(a.Data) != `{"code":"unauthorized"}` {
			t.Errorf("%.80s: %+v, %v; want the refusal %q", auth, a, err, message)
		}
	}
	for _, entry := range []string{"", "hello", "{}", "[]", `{"namespace":7}`, strings.Repeat("[", 100_000)} {
		if a, err := c.enterRaw([]byte(entry), 15*time.Second); err != nil || a.OK || a.Message != middleware.MessageMalformed {
			t.Errorf("%.80q: %+v, %v; want a refusal", entry, a, err)
		}
	}
	if a := c.mustEnter(token); !a.OK {
		t.Errorf("after all this the genuine token is refused: %+v", a)
	}
}

func TestExpiredToken(t *testing.T) {
	server := natstest.Run(t)
	start(t, server)
	c := newClient(t, server)
	token := c.signIn("admin", adminPassword).Token
	// A token from yesterday, signed with the deployment's own key.
	js, err := jetstream.New(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	old := reissue(t, js, token, time.Now().Add(-24*time.Hour))
	if a := c.mustEnter(old); a.OK || a.Message != middleware.MessageExpired {
		t.Errorf("a token of yesterday: %+v", a)
	}
}

// Accounts cannot be read: the middleware says nothing, neither yes nor no, and the others say so.
func TestFailsClosed(t *testing.T) {
	server := natstest.Run(t)
	i := start(t, server)
	c := newClient(t, server)
	token := c.signIn("admin", adminPassword).Token
	js, err := jetstream.New(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	if r := i.Health().Report(t.Context()); !r.Ready || r.Checks["accounts"] != "ok" {
		t.Errorf("with accounts: %+v", r)
	}
	if err := js.DeleteKeyValue(t.Context(), "NATTER_ACCOUNTS"); err != nil {
		t.Fatal(err)
	}
	a, err := c.enter(`{"token":"`+token+`"}`, 2*time.Second)
	if !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("without accounts: %+v, %v; want no answer", a, err)
	}
	if r := i.Health().Report(t.Context()); r.Ready || r.Checks["accounts"] == "ok" {
		t.Errorf("without accounts: %+v", r)
	}
	const want = `natter_auth_requests_total{endpoint="middleware",result="no_answer"} 1`
	counted := func() bool {
		page := httptest.NewRecorder()
		i.Health().Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
		return strings.Contains(page.Body.String(), want)
	}
	for end := time.Now().Add(20 * time.Second); !counted(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the metrics lack %s", want)
		}
	}
	// What needs no account is still answered.
	if a, err := c.enter(`{}`, 15*time.Second); err != nil || a.OK || a.Message != middleware.MessageNoToken {
		t.Errorf("no token: %+v, %v", a, err)
	}
	for _, r := range [][2]string{{"login", `{"name":"admin","password":"` + adminPassword + `"}`}, {"users", ""}, {"create", `{"name":"x","password":"password1"}`}, {"delete", `{"user":"u_x"}`}} {
		if got := c.ask(r[0], r[1]); got.Code != contract.CodeUnavailable || got.status != "503" {
			t.Errorf("%s: %+v; want unavailable", r[0], got)
		}
	}
}

func TestLoginIsLimited(t *testing.T) {
	server := natstest.Run(t)
	start(t, server, "--login-per-name=2", "--login-per-address=4")
	c := newClient(t, server)
	var codes []string
	try := func(name, address string) {
		codes = append(codes, c.ask("login", fmt.Sprintf(`{"name":%q,"password":"wrong password","address":%q}`, name, address)).Code)
	}
	for _, name := range []string{"admin", "ADMIN", "admin"} {
		try(name, "")
	}
	for n := range 5 {
		try(fmt.Sprint("user", n), fmt.Sprintf("192.0.2.1:%d", 1000+n))
	}
	try("user9", "192.0.2.2:1")
	want := []string{"unauthorized", "unauthorized", "rate_limited", "unauthorized", "unauthorized", "unauthorized", "unauthorized", "rate_limited", "unauthorized"}
	if !slices.Equal(codes, want) {
		t.Errorf("got  %q\nwant %q", codes, want)
	}
	if r := c.ask("login", `{"name":"admin","password":"`+adminPassword+`"}`); r.Code != contract.CodeRateLimited || r.status != "429" {
		t.Errorf("the right password does not get past the limit: %+v", r)
	}
}

// A name that does not exist costs a hash too. Without it the answer would come a hundred times faster.
func TestUnknownNamesTakeAsLong(t *testing.T) {
	server := natstest.Run(t)
	start(t, server, "--login-per-name=100")
	c := newClient(t, server)
	took := func(name string) time.Duration {
		begin := time.Now()
		c.ask("login", `{"name":"`+name+`","password":"wrong password"}`)
		return time.Since(begin)
	}
	known, unknown := time.Hour, time.Hour
	for range 5 { // in turn: what else the machine does slows both down
		known, unknown = min(known, took("admin")), min(unknown, took("nobody"))
	}
	if unknown < known/3 {
		t.Errorf("a wrong password takes %s, a wrong name %s", known, unknown)
	}
}

func TestAnnouncesItself(t *testing.T) {
	server := natstest.Run(t)
	start(t, server)
	c := newClient(t, server)
	msg, err := c.Request("$SRV.INFO.natter-auth", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(msg.Data, &info); err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, e := range info.Endpoints {
		subjects = append(subjects, e.Subject)
		if e.QueueGroup != "natter-auth" {
			t.Errorf("%s has the queue group %s", e.Subject, e.QueueGroup)
		}
	}
	for _, want := range []string{"natter.use.*.auth", "natter.auth.login", "natter.auth.users", "natter.auth.create", "natter.auth.delete", "natter.on.admin.delete=20user.>"} {
		if !slices.Contains(subjects, want) {
			t.Errorf("%s is not among %q", want, subjects)
		}
	}
	if info.Metadata[contract.MetadataVersion] != contract.Version {
		t.Errorf("metadata %v", info.Metadata)
	}
}
