package contract

import (
	"errors"
	"strings"
	"testing"
)

func TestTake(t *testing.T) {
	var s Subjects
	for want, make := range map[string]func() (string, error){
		"natter.take.shop.orders":                      func() (string, error) { return s.Take("/shop", "orders") },
		"natter.take.game-1.orders":                    func() (string, error) { return s.TakeAny("/game-1", "orders") },
		"natter.take.*.orders":                         func() (string, error) { return s.TakeAny("/game-*", "orders") },
		"natter.alive.orders.i1":                       func() (string, error) { return s.Alive("orders", "i1") },
		"natter.on.shop.buy=20now." + socketID + ".i1": func() (string, error) { return s.OnTaken("/shop", "buy now", socketID, "i1") },
		"natter.on.shop.*.*.*.i1":                      func() (string, error) { return s.OnMine("/shop", "i1") },
		"natter.on.*.*.*.*.i1":                         func() (string, error) { return s.OnMine("/game-*", "i1") },
		"natter.on.shop.buy=20now.*.*":                 func() (string, error) { return s.OnFree("/shop", "buy now") },
		"natter.on.*.*.*.*":                            func() (string, error) { return s.OnFree("/game-*") },
	} {
		if got, err := make(); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	for name, make := range map[string]func() (string, error){
		"service":            func() (string, error) { return s.Take("/shop", "a.b") },
		"no service":         func() (string, error) { return s.TakeAny("/shop", "") },
		"namespace":          func() (string, error) { return s.Take("shop", "orders") },
		"instance":           func() (string, error) { return s.Alive("orders", "*") },
		"long instance":      func() (string, error) { return s.OnMine("/shop", strings.Repeat("i", MaxInstance+1)) },
		"event of instance":  func() (string, error) { return s.OnTaken("/shop", "buy", socketID, ">") },
		"socket of instance": func() (string, error) { return s.OnTaken("/shop", "buy", "x", "i1") },
	} {
		if got, err := make(); err == nil {
			t.Errorf("%s: %q was accepted", name, got)
		}
	}
	if p, err := s.Parse("natter.on.shop.buy." + socketID + ".i1"); err != nil || p.Instance != "i1" || p.Socket != socketID || p.Event != "buy" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := s.Parse("natter.take.shop.orders"); err != nil || p.Service != "orders" || p.Namespace != "/shop" {
		t.Errorf("%+v, %v", p, err)
	}
	if service, instance, err := s.ParseAlive("natter.alive.orders.i1"); err != nil || service != "orders" || instance != "i1" {
		t.Errorf("%q, %q, %v", service, instance, err)
	}
	for _, subject := range []string{"natter.alive.orders", "natter.alive.orders.", "other.alive.orders.i1", "natter.take.orders.i1", "natter.alive.a=20b.i1"} {
		if _, _, err := s.ParseAlive(subject); !errors.Is(err, ErrBadSubject) {
			t.Errorf("ParseAlive(%q): %v", subject, err)
		}
	}
	for _, subject := range []string{"natter.take.shop", "natter.take.shop.a.b", "natter.take.shop.a=20b", "natter.alive.orders.i1", "natter.on.shop.buy." + socketID + ".=20", "natter.on.shop.buy." + socketID + ".i1.x"} {
		if p, err := s.Parse(subject); err == nil {
			t.Errorf("Parse(%q) = %+v", subject, p)
		}
	}
}

func TestTakePayloads(t *testing.T) {
	if taken, err := ParseTaken([]byte(`{"instance":"i1","more":1}`)); err != nil || taken.Instance != "i1" {
		t.Errorf("%+v, %v", taken, err)
	}
	for _, payload := range []string{"", "[]", "{}", `{"instance":""}`, `{"instance":"a.b"}`, `{"instance":7}`} {
		if taken, err := ParseTaken([]byte(payload)); err == nil {
			t.Errorf("ParseTaken(%s) = %+v", payload, taken)
		}
	}
	for payload, want := range map[string]Vital{"": {}, "{}": {}, `{"leaving":true}`: {Leaving: true}} {
		if v, err := ParseVital([]byte(payload)); err != nil || v != want {
			t.Errorf("ParseVital(%s) = %+v, %v", payload, v, err)
		}
	}
	if v, err := ParseVital([]byte("bye")); err == nil {
		t.Errorf("ParseVital = %+v", v)
	}
	if err := (Namespace{Ordered: "orders"}).Validate("/shop"); err != nil {
		t.Error(err)
	}
	if err := (Namespace{Ordered: "two words"}).Validate("/shop"); err == nil || !strings.Contains(err.Error(), "ordered") {
		t.Errorf("a bad name: %v", err)
	}
}

func FuzzParseTaken(f *testing.F) {
	f.Add([]byte(`{"instance":"i1"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if taken, err := ParseTaken(payload); err == nil && !ValidInstance(taken.Instance) {
			t.Fatalf("%q is an instance", taken.Instance)
		}
	})
}

func FuzzParseAlive(f *testing.F) {
	f.Add("natter.alive.orders.i1")
	f.Fuzz(func(t *testing.T, subject string) {
		var s Subjects
		service, instance, err := s.ParseAlive(subject)
		if err != nil {
			return
		}
		if again, err := s.Alive(service, instance); err != nil || again != subject {
			t.Fatalf("%q is written %q, %v", subject, again, err)
		}
	})
}
