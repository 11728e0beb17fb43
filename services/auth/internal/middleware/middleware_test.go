package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/tokens"
)

// verifier knows three tokens by heart.
type verifier struct{ expires time.Time }

var _ Verifier = verifier{}

func (v verifier) Verify(token string) (tokens.Token, error) {
	switch token {
	case "good", "gone", "unlucky", "old":
		return tokens.Token{Identity: tokens.Identity{User: token, Name: "Alice", Roles: []string{"stale"}}, Issued: v.expires.Add(-time.Hour), Expires: v.expires}, nil
	case "expired":
		return tokens.Token{}, tokens.ErrExpired
	}
	return tokens.Token{}, tokens.ErrInvalid
}

var errDown = errors.New("the bucket is away")

// book is where the user "good" has an account.
type book struct{ now time.Time }

var _ Accounts = book{}

func (b book) Find(_ context.Context, id, name string) (accounts.Account, error) {
	switch id {
	case "good":
		return accounts.Account{ID: id, Name: name, Roles: []string{"admin"}}, nil
	case "old":
		return accounts.Account{ID: id, Name: name, NotBefore: b.now}, nil
	case "unlucky":
		return accounts.Account{}, errDown
	}
	return accounts.Account{}, accounts.ErrNotFound
}

func entry(auth string) string {
	return `{"id":"gw1.abcdefghijABCDEFGH_-","namespace":"/admin","handshake":{"headers":{},"time":"2026-01-02T03:04:05Z","issued":1,"address":"192.0.2.1:1","url":"/","query":{},"auth":` + auth + `}}`
}

func TestAnswer(t *testing.T) {
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	m := New(book{expires}, verifier{expires})
	refused := func(message, code string) contract.Admission {
		return contract.Admission{Message: message, Data: json.RawMessage(`{"code":"` + code + `"}`)}
	}
	for request, want := range map[string]contract.Admission{
		entry(`{"token":"good"}`):                  {OK: true, User: "good", Name: "Alice", Roles: []string{"admin"}, Expires: expires},
		entry(`{"name":"Mallory","token":"good"}`): {OK: true, User: "good", Name: "Alice", Roles: []string{"admin"}, Expires: expires},
		entry(`{}`):                            refused(MessageNoToken, contract.CodeUnauthorized),
		entry(`{"Token":"good"}`):              refused(MessageNoToken, contract.CodeUnauthorized),
		entry(`{"token":""}`):                  refused(MessageNoToken, contract.CodeUnauthorized),
		entry(`{"token":null}`):                refused(MessageNoToken, contract.CodeUnauthorized),
		entry(`null`):                          refused(MessageNoToken, contract.CodeUnauthorized),
		entry(`[]`):                            refused(MessageNoToken, contract.CodeUnauthorized),
		entry(`"good"`):                        refused(MessageNoToken, contract.CodeUnauthorized),
		entry(`{"token":["good"]}`):            refused(MessageInvalid, contract.CodeUnauthorized),
		entry(`{"token":{"token":"good"}}`):    refused(MessageInvalid, contract.CodeUnauthorized),
		entry(`{"token":7}`):                   refused(MessageInvalid, contract.CodeUnauthorized),
		entry(`{"token":"bad"}`):               refused(MessageInvalid, contract.CodeUnauthorized),
		entry(`{"token":"expired"}`):           refused(MessageExpired, contract.CodeUnauthorized),
		entry(`{"token":"gone"}`):              refused(MessageDeleted, contract.CodeUnauthorized),
		entry(`{"token":"old"}`):               refused(MessageReset, contract.CodeUnauthorized),
		``:                                     refused(MessageMalformed, contract.CodeInvalid),
		`hello`:                                refused(MessageMalformed, contract.CodeInvalid),
		`{}`:                                   refused(MessageMalformed, contract.CodeInvalid),
		`null`:                                 refused(MessageMalformed, contract.CodeInvalid),
		`["good"]`:                             refused(MessageMalformed, contract.CodeInvalid),
		`{"namespace":"/","handshake":"good"}`: refused(MessageMalformed, contract.CodeInvalid),
		`{"namespace":"/"}`:                    refused(MessageNoToken, contract.CodeUnauthorized),
		entry(`{"token":"good"}`) + `{}`:       refused(MessageMalformed, contract.CodeInvalid),
		entry(`{"token":"good"`):               refused(MessageMalformed, contract.CodeInvalid),
		entry(strings.Repeat("[", 20000)):      refused(MessageMalformed, contract.CodeInvalid),
		entry(`{"token":"` + string([]byte{0}) + `"}`): refused(MessageMalformed, contract.CodeInvalid),
	} {
		got, err := m.Answer(t.Context(), []byte(request))
		if err != nil {
			t.Errorf("%.200s: %v", request, err)
			continue
		}
		a, b := text(t, got), text(t, want)
		if a != b {
			t.Errorf("%.200s\n got %s\nwant %s", request, a, b)
		}
	}
}

// What cannot be told is an error: it must be neither an admission nor a refusal.
func TestNoAnswerWithoutAccounts(t *testing.T) {
	m := New(book{}, verifier{time.Now()})
	got, err := m.Answer(t.Context(), []byte(entry(`{"token":"unlucky"}`)))
	if !errors.Is(err, errDown) || got.OK || got.Message != "" {
		t.Errorf("Answer = %+v, %v; want the error of the accounts", got, err)
	}
}

func text(t testing.TB, a contract.Admission) string {
	t.Helper()
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzAnswer(f *testing.F) {
	for _, auth := range []string{`{"token":"good"}`, `{}`, `null`, `{"token":7}`, `{"token":"good","token":"bad"}`, `{"token":"\ud800"}`} {
		f.Add([]byte(entry(auth)))
	}
	f.Add([]byte(`{"namespace":"/","Handshake":{"auth":{"token":"good"}}}`))
	m := New(book{}, verifier{time.Now()})
	f.Fuzz(func(t *testing.T, request []byte) {
		got, err := m.Answer(t.Context(), request)
		switch {
		case errors.Is(err, errDown):
		case err != nil:
			t.Fatal(err)
		case got.OK && (got.User != "good" || !strings.Contains(string(request), "good") && !strings.Contains(string(request), `\u`)):
			t.Fatalf("%q is admitted as %+v", request, got)
		case !got.OK && got.Message == "":
			t.Fatalf("%q is refused without a word", request)
		}
		if !json.Valid([]byte(text(t, got))) {
			t.Fatal("the answer is no JSON")
		}
	})
}
