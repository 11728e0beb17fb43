package socketio

import (
	"strings"
	"testing"
)

func TestV4(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{string(AppendConnectV4(nil, "/")), "0"},
		{string(AppendConnectV4(nil, "/admin")), "0/admin,"},
		{string(AppendErrorV4(nil, "/", []byte(`"Not authorized"`))), `4"Not authorized"`},
		{string(AppendErrorV4(nil, "/admin", []byte(`{"code":1}`))), `4/admin,{"code":1}`},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

func TestErrorsDoNotTellTheQuery(t *testing.T) {
	var d Decoder
	if _, err := d.Text([]byte("0/admin?token=secret\x01,")); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestSplitNamespaceV4(t *testing.T) {
	for in, want := range map[string][2]string{
		"0":                            {"/", ""},
		"0/admin":                      {"/admin", ""},
		"0/admin,":                     {"/admin", ""},
		"0/admin?token=1234&uid=abcd,": {"/admin", "token=1234&uid=abcd"},
		"0/admin?":                     {"/admin", ""},
		"0/?a=b?c=d":                   {"/", "a=b?c=d"},
		"0/a/b?c=/d,":                  {"/a/b", "c=/d"},
	} {
		var d Decoder
		p, err := d.Text([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if name, query := SplitNamespaceV4(p.Namespace); name != want[0] || query != want[1] {
			t.Errorf("%s: got %q, %q, want %q", in, name, query, want)
		}
	}
}
