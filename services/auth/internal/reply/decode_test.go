package reply

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

type request struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Address  string `json:"address"`
}

func TestDecode(t *testing.T) {
	var r request
	if err := Decode([]byte(` {"name":"a","password":"b","address":"c"} `), &r); err != nil || r != (request{"a", "b", "c"}) {
		t.Errorf("Decode = %+v, %v", r, err)
	}
	for _, bad := range []string{"", "null", "[]", `"x"`, "{", `{"name":"a"}{}`, `{"name":"a"} x`, `{"nam":"a"}`, `{"name":1234567890}`, `{"name":["a"]}`,
		`{"name":"a",}`, `{"name":"secret-value`, `{"name":"` + strings.Repeat("x", maxRequest) + `"}`} {
		var r request
		err := Decode([]byte(bad), &r)
		refusal, complete := Refusal(err)
		if err == nil || refusal.Code != contract.CodeInvalid || !complete || refusal.OK {
			t.Errorf("Decode(%.40q) = %v, which is told as %+v", bad, err, refusal)
		}
		if strings.Contains(refusal.Message, "1234567890") || strings.Contains(refusal.Message, "secret-value") {
			t.Errorf("the refusal quotes the request: %s", refusal.Message)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a","password":"b"}`))
	f.Add([]byte(`{"name":"a"}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r request
		if err := Decode(data, &r); err != nil {
			if refusal, _ := Refusal(err); refusal.Code != contract.CodeInvalid || refusal.Message == "" {
				t.Fatalf("%q: %v is told as %+v", data, err, refusal)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q is taken for JSON", data)
		}
	})
}
