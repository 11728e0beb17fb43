package query

import (
	"encoding/json"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

// FuzzDecode says that what is accepted has a place and a limit within bounds, and means what encoding/json
// says it means.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"namespace":"/"}`, `{"namespace":"/","room":"red","before":"abc-1","limit":200}`, `{"namespace":"/","room":""}`,
		`{"namespace":"/","limit":1e2}`, `{"NAMESPACE":"/"}`, `null`, `{} {}`, `{"namespace":"/","x":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePage(data)
		if err != nil {
			return
		}
		if p.limit < 1 || p.limit > contract.MaxHistoryPage || p.place.Namespace == "" || p.place.Target == "" {
			t.Fatalf("%q is %+v", data, p)
		}
		var r contract.HistoryRequest
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatalf("%q was accepted: %v", data, err)
		}
		if ns, err := contract.DecodeNamespace(p.place.Namespace); err != nil || ns != r.Namespace {
			t.Fatalf("%q: namespace %q, %v", data, ns, err)
		}
		if (r.Room == nil) != (p.place.Target == contract.TargetAll) {
			t.Fatalf("%q: target %q", data, p.place.Target)
		}
	})
}
