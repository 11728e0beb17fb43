package tokens

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/auth/internal/buckets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var alice = Identity{User: "u_abc", Name: "Alice", Roles: []string{"admin"}}

func testKey(fill byte) Key {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = fill
	}
	return newKey(ed25519.NewKeyFromSeed(seed))
}

func TestIssueAndVerify(t *testing.T) {
	i := NewIssuer(testKey(1), "natter.auth", time.Hour)
	token, expires, err := i.Issue(alice)
	if err != nil {
		t.Fatal(err)
	}
	got, err := i.Verify(token)
	if err != nil || got.User != alice.User || got.Name != alice.Name || len(got.Roles) != 1 || !got.Expires.Equal(expires) || got.Issued.IsZero() {
		t.Errorf("Verify = %+v, %v; want %+v until %s", got, err, alice, expires)
	}
	if left := time.Until(expires); left > time.Hour || left < time.Hour-5*time.Second {
		t.Errorf("the token lasts %s, want an hour", left)
	}
}

func TestExpired(t *testing.T) {
	i := NewIssuer(testKey(1), "natter.auth", time.Hour)
	token, expires, err := i.Issue(alice)
	if err != nil {
		t.Fatal(err)
	}
	i.now = func() time.Time { return expires.Add(-time.Second) }
	if _, err := i.Verify(token); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	i.now = func() time.Time { return expires }
	if _, err := i.Verify(token); !errors.Is(err, ErrExpired) {
		t.Errorf("at its end: %v; want ErrExpired", err)
	}
	// Only a genuine token is said to have expired.
	other := NewIssuer(testKey(2), "natter.auth", time.Hour)
	other.now = i.now
	if _, err := other.Verify(token); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrExpired) {
		t.Errorf("expired, and signed with another key: %v; want ErrInvalid", err)
	}
}

func TestRefusesWhatItDidNotIssue(t *testing.T) {
	key := testKey(1)
	i := NewIssuer(key, "natter.auth", time.Hour)
	good := func() claims {
		return claims{Name: "Alice", RegisteredClaims: jwt.RegisteredClaims{
			Issuer: "natter.auth", Subject: "u_abc", IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
		}}
	}
	sign := func(method jwt.SigningMethod, kid any, with any, c jwt.Claims) string {
		t.Helper()
		token := jwt.NewWithClaims(method, c)
		if kid != nil {
			token.Header["kid"] = kid
		}
		s, err := token.SignedString(with)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	genuine := sign(jwt.SigningMethodEdDSA, key.id, key.private, good())
	if _, err := i.Verify(genuine); err != nil {
		t.Fatalf("the token that the others differ from: %v", err)
	}
	parts := strings.Split(genuine, ".")
	changed := func(change func(*claims)) string {
		c := good()
		change(&c)
		return sign(jwt.SigningMethodEdDSA, key.id, key.private, c)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "u_abc", "u_abd", 1)))
	public := key.private.Public().(ed25519.PublicKey)

	for name, token := range map[string]string{
		"empty":                  "",
		"garbage":                "garbage",
		"dots":                   "..",
		"alg none":               sign(jwt.SigningMethodNone, key.id, jwt.UnsafeAllowNoneSignatureType, good()),
		"alg none, signature":    sign(jwt.SigningMethodNone, key.id, jwt.UnsafeAllowNoneSignatureType, good()) + parts[2],
		"HMAC with public key":   sign(jwt.SigningMethodHS256, key.id, []byte(public), good()),
		"another key, its kid":   sign(jwt.SigningMethodEdDSA, testKey(2).id, testKey(2).private, good()),
		"another key, our kid":   sign(jwt.SigningMethodEdDSA, key.id, testKey(2).private, good()),
		"no kid":                 sign(jwt.SigningMethodEdDSA, nil, key.private, good()),
		"kid is no string":       sign(jwt.SigningMethodEdDSA, 7, key.private, good()),
		"payload changed":        parts[0] + "." + forged + "." + parts[2],
		"signature cut":          genuine[:len(genuine)-4],
		"signature missing":      parts[0] + "." + parts[1] + ".",
		"signature padded":       genuine + "==",
		"four parts":             genuine + ".x",
		"another issuer":         changed(func(c *claims) { c.Issuer = "other.auth" }),
		"no issuer":              changed(func(c *claims) { c.Issuer = "" }),
		"no expiry":              changed(func(c *claims) { c.ExpiresAt = nil }),
		"no subject":             changed(func(c *claims) { c.Subject = "" }),
		"no name":                changed(func(c *claims) { c.Name = "" }),
		"no time of issue":       changed(func(c *claims) { c.IssuedAt = nil }),
		"not yet valid":          changed(func(c *claims) { c.NotBefore = jwt.NewNumericDate(time.Now().Add(time.Hour)) }),
		"expired, wrong issuer":  changed(func(c *claims) { c.Issuer = "x"; c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }),
		"claims of another type": sign(jwt.SigningMethodEdDSA, key.id, key.private, jwt.MapClaims{"sub": 1, "name": []int{1}}),
		"oversized":              changed(func(c *claims) { c.Roles = []string{strings.Repeat("x", MaxSize)} }),
	} {
		if got, err := i.Verify(token); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrExpired) || got.User != "" {
			t.Errorf("%s: Verify = %+v, %v; want ErrInvalid", name, got, err)
		}
	}
}

func bucket(t *testing.T) jetstream.KeyValue {
	js, err := jetstream.New(natstest.Run(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := buckets.Open(t.Context(), js, provision.Storage{Replicas: 1}, "KEYS", "")
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func TestInstancesThatStartTogetherShareAKey(t *testing.T) {
	kv := bucket(t)
	const instances = 10
	keys := make([]Key, instances)
	var wg sync.WaitGroup
	for n := range keys {
		wg.Go(func() {
			key, err := makeKey(context.Background(), kv) // as if each had found none
			if err != nil {
				t.Error(err)
			}
			keys[n] = key
		})
	}
	wg.Wait()
	later, err := LoadKey(t.Context(), kv)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if key.id != later.id || !key.private.Equal(later.private) {
			t.Errorf("an instance has the key %s, a later one %s", key.id, later.id)
		}
	}
}

func TestDamagedKey(t *testing.T) {
	kv := bucket(t)
	for _, value := range []string{"", "x", `{}`, `{"seed":"c2hvcnQ="}`} {
		if _, err := kv.PutString(t.Context(), signing, value); err != nil {
			t.Fatal(err)
		}
		if key, err := LoadKey(t.Context(), kv); err == nil || value != "" && strings.Contains(err.Error(), value) {
			t.Errorf("LoadKey of %q = %v, %v", value, key.id, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	i := NewIssuer(testKey(1), "natter.auth", time.Hour)
	token, _, err := i.Issue(alice)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := i.Verify(s)
		if err == nil && s != token {
			t.Fatalf("%q is taken for %+v", s, got)
		}
		if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired) {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
