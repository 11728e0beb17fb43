package contract

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestIDPaths(t *testing.T) {
	args := [][]byte{[]byte(`"red"`), []byte(`{"id":"a1","deep":{"er":"a2"},"n":7,"long":"` + strings.Repeat("x", MaxApplicationID+1) + `","empty":"","no":null}`), []byte(`"a3"`), []byte(` null `)}
	for path, want := range map[string]string{
		"args[0]": "red", "args[1].id": "a1", "args[1].deep.er": "a2", "args[2]": "a3",
		"args[3]": "", "args[4]": "", "args[1].none": "", "args[1].no": "", "args[0].id": "", "args[1].deep.none": "", "args[3].x": "",
	} {
		p, err := ParseIDPath(path)
		if err != nil || p.String() != path {
			t.Errorf("%s: %v, %v", path, p, err)
		}
		if id, err := p.Find(args); err != nil || id != want {
			t.Errorf("%s: %q, %v; want %q", path, id, err, want)
		}
	}
	for _, path := range []string{"args[1].n", "args[1].long", "args[1].empty", "args[1]", "args[1].deep"} {
		p, err := ParseIDPath(path)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := p.Find(args); !errors.Is(err, ErrBadApplicationID) {
			t.Errorf("%s: %q, %v", path, id, err)
		}
	}
	for _, path := range []string{"", "id", "args", "args[]", "args[-1]", "args[01]", "args[33]", "args[1", "args[1]id", "args[1].", "args[1]..id", "args[1].a.", "args[1].a..b", "Args[1]", "args[1][2]", "args[1].a.b.c.d.e.f.g.h.i"} {
		if p, err := ParseIDPath(path); err == nil {
			t.Errorf("%s was read as %v", path, p)
		}
	}
}

func FuzzParseIDPath(f *testing.F) {
	for _, seed := range []string{"args[1]", "args[1].id", "args[0].a.b", "args[32].é", "args[1].", "]["} {
		f.Add(seed, `{"id":"x"}`)
	}
	f.Fuzz(func(t *testing.T, text, arg string) {
		p, err := ParseIDPath(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Fatalf("%q came back as %q", text, p)
		}
		args := make([][]byte, p.Arg+1)
		for i := range args {
			args[i] = []byte(arg)
		}
		if id, err := p.Find(args); err == nil && len(id) > MaxApplicationID {
			t.Fatalf("an id of %d bytes", len(id))
		}
	})
}

func TestMsgIDsTellAuthorsApart(t *testing.T) {
	const subject = "natter.post._.all"
	seen := make(map[string]string)
	for what, id := range map[string]string{
		"user":          MsgID(ByUser("u1"), subject, "", "1"),
		"another user":  MsgID(ByUser("u2"), subject, "", "1"),
		"guest":         MsgID(ByGuest("u1"), subject, "", "1"),
		"service":       MsgID(ByService("u1"), subject, "", "1"),
		"another id":    MsgID(ByUser("u1"), subject, "", "2"),
		"another room":  MsgID(ByUser("u1"), "natter.post._.room.red", "", "1"),
		"other rooms":   MsgID(ByUser("u1"), subject, "red", "1"),
		"moved border":  MsgID(ByUser("u1"), subject, "1", ""),
		"any character": MsgID(ByUser("u\r\n1"), subject, "", "\x00 ü\n"),
	} {
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same id", what, other)
		}
		seen[id] = what
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(id) {
			t.Errorf("%s: %q", what, id)
		}
	}
	if MsgID(ByUser("u1"), subject, "", "1") != MsgID(ByUser("u1"), subject, "", "1") {
		t.Error("the same is not the same")
	}
}

func TestRulesSayWhereTheIDStands(t *testing.T) {
	for id, ok := range map[string]bool{
		"": true, "args[1]": true, "args[2]": true, "args[1].id": true, "args[0].id": true,
		"args[0]": false, "args[3]": false, "args[2].id": false, "id": false,
	} {
		err := Rule{Action: ActionPost, To: "room", Args: 2, ID: id}.Validate()
		if (err == nil) != ok || err != nil && !strings.HasPrefix(err.Error(), "id: ") {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, r := range []Rule{{Action: ActionVolatile, To: "all", Args: 1, ID: "args[1]"}, {Action: ActionJoin, Args: 1, ID: "args[1]"}} {
		if err := r.Validate(); err == nil {
			t.Errorf("%+v is taken for valid", r)
		}
	}
	if _, _, err := ParseNamespace("_", []byte(`{"events":{"say":{"action":"emit","to":"all","args":1,"id":"args[7]"}}}`)); err == nil || !strings.Contains(err.Error(), "args[7]") {
		t.Errorf("from the bucket: %v", err)
	}
}
