package passwords

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func TestHashAndCheck(t *testing.T) {
	ctx := context.Background()
	h := NewHasher(2)
	phc, err := h.Hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash %s has not the recommended costs", phc)
	}
	if again, err := h.Hash(ctx, "correct horse"); err != nil || again == phc {
		t.Errorf("two hashes of one password are equal, or %v", err)
	}
	for _, c := range []struct {
		phc, password string
		want          bool
	}{{phc, "correct horse", true}, {phc, "Correct horse", false}, {phc, "", false}, {"", "correct horse", false}, {"", "", false}} {
		if got, err := h.Check(ctx, c.phc, c.password); err != nil || got != c.want {
			t.Errorf("Check(%q, %q) = %v, %v; want %v", c.phc, c.password, got, err, c.want)
		}
	}
}

// The costs in the hash count, not the ones that new hashes have.
func TestCheckHonoursStoredCosts(t *testing.T) {
	cheap := hashed{params: params{memory: 64, time: 1, threads: 2}, salt: []byte("somesaltsomesalt")}
	cheap.key = cheap.compute("password", 24)
	if ok, err := NewHasher(1).Check(context.Background(), cheap.String(), "password"); err != nil || !ok {
		t.Errorf("Check of %s = %v, %v", cheap, ok, err)
	}
}

func TestBadHashes(t *testing.T) {
	good := derive("password").String()
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawStdEncoding.EncodeToString
	for _, bad := range []string{
		"", "$", "password", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=19456", "m=99999999", 1), strings.Replace(good, "m=19456", "m=1", 1), strings.Replace(good, "t=2", "t=0", 1),
		strings.Replace(good, "t=2", "t=02", 1), strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "p=1", "p=256", 1), good + "$", good + "=",
		"$argon2id$v=19$m=19456,t=2,p=1$$" + b64(make([]byte, 32)), "$argon2id$v=19$m=19456,t=2,p=1$" + b64(make([]byte, 16)) + "$",
	} {
		if ok, err := NewHasher(1).Check(context.Background(), bad, "password"); bad != "" && (ok || !errors.Is(err, ErrBadHash)) {
			t.Errorf("Check(%q) = %v, %v; want ErrBadHash", bad, ok, err)
		}
		if h, err := parse(bad); !errors.Is(err, ErrBadHash) {
			t.Errorf("parse(%q) = %v, %v; want ErrBadHash", bad, h, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for password, ok := range map[string]bool{
		"1234567": false, "12345678": true, "äöüß": true, strings.Repeat("x", MaxLength): true, strings.Repeat("x", MaxLength+1): false, "\xff2345678": false, Generate(): true,
	} {
		if err := Validate(password); (err == nil) != ok || err != nil && !errors.Is(err, ErrUnusable) {
			t.Errorf("Validate(%q) = %v", password, err)
		}
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(2)
		for range 2 {
			if err := h.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		go func() { _, err = h.Hash(ctx, "password") }()
		synctest.Wait() // it waits for a slot
		cancel()
		synctest.Wait()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a third password was not kept waiting: %v", err)
		}
		h.release()
		if ok, err := h.Check(t.Context(), derive("password").String(), "password"); err != nil || !ok {
			t.Errorf("after a slot was free: %v, %v", ok, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(derive("password").String())
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$MDEyMzQ1Njc4OTAxMjM0NQ")
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$MDEyMzQ1Njc4OTAxMjM0\r\nNQ")
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := parse(phc)
		if err != nil {
			if !errors.Is(err, ErrBadHash) {
				t.Fatal(err)
			}
			return
		}
		if h.String() != phc {
			t.Fatalf("%q is read as %q", phc, h)
		}
	})
}
