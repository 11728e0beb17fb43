package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/auth/internal/buckets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testStore(t *testing.T) *Store {
	t.Helper()
	js, err := jetstream.New(natstest.Run(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := buckets.Open(t.Context(), js, provision.Storage{Replicas: 1}, "ACCOUNTS", "")
	if err != nil {
		t.Fatal(err)
	}
	return NewStore(kv)
}

func mustCreate(t *testing.T, s *Store, name string, roles ...string) Account {
	t.Helper()
	a, err := s.Create(t.Context(), name, "hash of "+name, roles)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCreateFindDelete(t *testing.T) {
	ctx := t.Context()
	s := testStore(t)
	alice := mustCreate(t, s, "  Alice ", "b", "admin", "b")
	root := mustCreate(t, s, "root", RoleAdmin)
	if alice.Name != "Alice" || !slices.Equal(alice.Roles, []string{"admin", "b"}) || !strings.HasPrefix(alice.ID, "u_") || alice.ID == root.ID {
		t.Errorf("created %+v", alice)
	}
	for _, name := range []string{"Alice", "alice", "ALICE"} {
		if got, err := s.ByName(ctx, name); err != nil || got.ID != alice.ID || got.Password != "hash of   Alice " {
			t.Errorf("ByName(%q) = %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"Alice", "aLICE", " alice"} {
		if _, err := s.Create(ctx, name, "x", nil); !errors.Is(err, ErrExists) {
			t.Errorf("Create(%q) = %v; want ErrExists", name, err)
		}
	}
	all, err := s.List(ctx)
	if err != nil || len(all) != 2 || all[0].ID != alice.ID || all[1].ID != root.ID {
		t.Errorf("List = %+v, %v", all, err)
	}

	d, err := s.BeginDelete(ctx, alice.ID, root.ID)
	if err != nil || d.ID != alice.ID || d.By != root.ID || d.Name != "Alice" || !d.Admin {
		t.Fatalf("BeginDelete = %+v, %v", d, err)
	}
	for range 2 { // a second time is harmless
		if err := s.Remove(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Find(ctx, alice.ID, alice.Name); !errors.Is(err, ErrNotFound) {
		t.Errorf("Find after removal: %v; want ErrNotFound", err)
	}
	// The name is free again, and what is left of the deletion does not touch its new owner.
	second := mustCreate(t, s, "alice")
	if second.ID == alice.ID {
		t.Error("an id was used again")
	}
	if err := s.Remove(ctx, d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(ctx, alice.ID, "alice"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old id finds the new owner of the name: %v", err)
	}
	if got, err := s.Find(ctx, second.ID, "alice"); err != nil || got.ID != second.ID {
		t.Errorf("Find = %+v, %v; want the new owner", got, err)
	}
	for range 2 {
		if err := s.EndDelete(ctx, alice.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.BeginDelete(ctx, alice.ID, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleting it again: %v; want ErrNotFound", err)
	}
}

func TestNames(t *testing.T) {
	s := testStore(t)
	long := strings.Repeat("🎉", MaxName)
	ids := map[string]string{}
	for _, name := range []string{"x", "a b", "a.b", "*", ">", "=", "ключ", long, long[4:], "Straße", "名前"} {
		ids[name] = mustCreate(t, s, name).ID
	}
	for name, id := range ids {
		if a, err := s.ByName(t.Context(), name); err != nil || a.ID != id {
			t.Errorf("ByName(%q) = %s, %v; want %s", name, a.ID, err, id)
		}
	}
	if a, err := s.ByName(t.Context(), "КЛЮЧ"); err != nil || a.ID != ids["ключ"] {
		t.Errorf("case of other alphabets counts: %v", err)
	}
	if all, err := s.List(t.Context()); err != nil || len(all) != len(ids) {
		t.Errorf("List has %d, %v; want %d", len(all), err, len(ids))
	}
	for _, name := range []string{"", "   ", "a\nb", "a\x00b", "a\u200bb", "a\u202eb", "\xff", strings.Repeat("x", MaxName+1)} {
		if a, err := s.Create(t.Context(), name, "x", nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("Create(%q) = %+v, %v; want ErrInvalid", name, a, err)
		}
	}
	for _, roles := range [][]string{{""}, {"a b"}, {"a\n"}, {"\xff"}, {strings.Repeat("x", MaxRole+1)}, make([]string, MaxRoles+1)} {
		if _, err := s.Create(t.Context(), "roles", "x", roles); !errors.Is(err, ErrInvalid) {
			t.Errorf("Create with the roles %q: %v; want ErrInvalid", roles, err)
		}
	}
}

func TestOneGetsTheName(t *testing.T) {
	s := testStore(t)
	var got atomic.Int32
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			_, err := s.Create(context.Background(), []string{"alice", "ALICE"}[n%2], fmt.Sprint(n), nil)
			switch {
			case err == nil:
				got.Add(1)
			case !errors.Is(err, ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d have got the name", got.Load())
	}
}

func TestReset(t *testing.T) {
	s := testStore(t)
	a := mustCreate(t, s, "admin")
	b, err := s.Reset(t.Context(), a, "new", []string{RoleAdmin})
	if err != nil || b.Password != "new" || !b.Admin() || b.NotBefore.IsZero() || b.ID != a.ID {
		t.Fatalf("Reset = %+v, %v", b, err)
	}
	if _, err := s.Reset(t.Context(), a, "newer", nil); !errors.Is(err, ErrBusy) {
		t.Errorf("Reset of what has changed since: %v; want ErrBusy", err)
	}
	if got, err := s.Find(t.Context(), a.ID, a.Name); err != nil || got.Password != "new" {
		t.Errorf("Find = %+v, %v", got, err)
	}
}

func TestLastAdminStays(t *testing.T) {
	s := testStore(t)
	admins := []Account{mustCreate(t, s, "a", RoleAdmin), mustCreate(t, s, "b", RoleAdmin), mustCreate(t, s, "c", RoleAdmin)}
	mustCreate(t, s, "d")
	var refused atomic.Int32
	var wg sync.WaitGroup
	for _, a := range admins {
		wg.Go(func() {
			d, err := s.BeginDelete(context.Background(), a.ID, "")
			if errors.Is(err, ErrLastAdmin) {
				refused.Add(1)
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Remove(context.Background(), d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := s.List(t.Context())
	left := slices.IndexFunc(all, Account.Admin)
	if err != nil || refused.Load() != 1 || len(all) != 2 || left < 0 {
		t.Fatalf("three admins deleted at once: %d refused, left are %+v, %v", refused.Load(), all, err)
	}
	if _, err := s.BeginDelete(t.Context(), all[left].ID, ""); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("deleting the last admin: %v; want ErrLastAdmin", err)
	}
}

func TestManyDeletionsAtOnce(t *testing.T) {
	s := testStore(t)
	var wg sync.WaitGroup
	for n := range 8 {
		a := mustCreate(t, s, fmt.Sprint("user", n))
		wg.Go(func() {
			for range 2 {
				if d, err := s.BeginDelete(context.Background(), a.ID, "by"); err != nil || d.ID != a.ID {
					t.Errorf("BeginDelete = %+v, %v", d, err)
				}
			}
		})
	}
	wg.Wait()
	log, _, err := s.Deletions(t.Context())
	if err != nil || len(log) != 8 {
		t.Errorf("the log has %d entries, %v; want 8", len(log), err)
	}
}

func TestUnreadableAccountIsNamed(t *testing.T) {
	s := testStore(t)
	if _, err := s.kv.PutString(t.Context(), "name.x", "{"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ByName(t.Context(), "x"); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "name.x") {
		t.Errorf("ByName: %v; want an error that names the key", err)
	}
}

func FuzzKey(f *testing.F) {
	f.Add("Alice", "alice")
	f.Add("a.b", "a=2Eb")
	f.Add("K", "\u212a")
	f.Fuzz(func(t *testing.T, a, b string) {
		a, errA := CleanName(a)
		b, errB := CleanName(b)
		if errA != nil || errB != nil {
			return
		}
		if (key(a) == key(b)) != strings.EqualFold(a, b) {
			t.Fatalf("%q has the key %s, %q has %s", a, key(a), b, key(b))
		}
		if strings.ContainsAny(key(a), " *>\t") || len(key(a)) > 200 {
			t.Fatalf("the key %q of %q cannot be used", key(a), a)
		}
	})
}
