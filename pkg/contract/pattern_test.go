package contract

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, namespace string
		want               bool
	}{
		{"/game-*", "/game-1", true},
		{"/game-*", "/game-1.2 x>ü", true},
		{"/game-*", "/game-", false},
		{"/game-*", "/game-1/2", false},
		{"/game-*", "/games", false},
		{"/game-*", "/game-*", false}, // a pattern is no namespace
		{"/*", "/", false},
		{"/*", "/a", true},
		{"/*/chat", "/a/chat", true},
		{"/*/chat", "//chat", false},
		{"/*-*", "/a-b", true},
		{"/*-*", "/-b", false},
		{"/*-*", "/--b", true},
		{"/a*b", "/abab", true},
		{"/a*b", "/ab", false},
		{"/a*b", "/axbx", false},
		{"/a", "/a", true},
		{"/**rooms", "/", true},
		{"/**rooms", "/a/b c", true},
		{"/**rooms", "/**rooms", false},
		{"/**rooms", "no slash", false},
	} {
		if got := MatchNamespace(c.pattern, c.namespace); got != c.want {
			t.Errorf("MatchNamespace(%q, %q) = %v", c.pattern, c.namespace, got)
		}
	}
	order := []string{"/game-x-*", "/game-*-a", "/game-*", "/g*-abc", "/g*", "/*"}
	mixed := slices.Clone(order)
	slices.Sort(mixed)
	slices.SortFunc(mixed, ComparePatterns)
	if !slices.Equal(mixed, order) {
		t.Errorf("ordered %q, want %q", mixed, order)
	}
	if err := (Namespace{}).Validate("/game-*"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"/game-**", "/**", "/**a*", "/***"} {
		if err := (Namespace{}).Validate(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if err := (Namespace{}).Validate(Function("rooms")); err != nil || !IsFunction("/**rooms") || IsFunction("/*rooms") || IsFunction("/a**") {
		t.Errorf("functions are not told from patterns: %v", err)
	}
}

func TestSubjectsOfPatterns(t *testing.T) {
	var s Subjects
	for want, got := range map[string]func() (string, error){
		"natter.on.*.move.>":   func() (string, error) { return s.OnAny("/game-*", "move") },
		"natter.on.*.>":        func() (string, error) { return s.OnAny("/game-*") },
		"natter.room.*.>":      func() (string, error) { return s.RoomAny("/game-*") },
		"natter.room.game-1.>": func() (string, error) { return s.RoomAny("/game-1") },
		"natter.use.=2A=2Arooms.exists": func() (string, error) {
			return s.Use(Function("rooms"), MiddlewareExists)
		},
		"natter.emit.game-=2A.all": func() (string, error) {
			return s.To(Emit, "/game-*", All())
		},
	} {
		if subject, err := got(); err != nil || subject != want {
			t.Errorf("%q, %v; want %q", subject, err, want)
		}
	}
	within, err := s.Within(Live, "/game-*")
	if want := []string{"natter.live.game-=2A.all", "natter.live.game-=2A.many", "natter.live.game-=2A.room.*"}; err != nil || !slices.Equal(within, want) {
		t.Errorf("Within = %q, %v; want %q", within, err, want)
	}
}

func FuzzMatchNamespace(f *testing.F) {
	f.Add("/game-*", "/game-1")
	f.Add("/*-*/x*y", "/--/xaxyy")
	f.Fuzz(func(t *testing.T, pattern, namespace string) {
		if IsFunction(pattern) {
			return
		}
		parts := strings.Split(pattern, "*")
		for i, p := range parts {
			parts[i] = regexp.QuoteMeta(p)
		}
		want, err := regexp.Compile(`\A` + strings.Join(parts, `(?s:[^/]+)`) + `\z`)
		if err != nil {
			return // no UTF-8
		}
		if got := MatchNamespace(pattern, namespace); got != (want.MatchString(namespace) && !IsPattern(namespace)) {
			t.Fatalf("MatchNamespace(%q, %q) = %v", pattern, namespace, got)
		}
	})
}
