package historyd

import (
	"fmt"
	"slices"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/natstest"
)

// TestOneReadsOnPastWhatIsTooLarge has a room in which two messages of three are such that NATS carries them as posts, but not in pages.
func TestOneReadsOnPastWhatIsTooLarge(t *testing.T) {
	const n, maxPayload = 300, 64 << 10
	f := newFixture(t, natstest.WithOptions(func(o *embed.Options) { o.MaxPayload = maxPayload }))
	giant := [][]byte{make([]byte, maxPayload-1000)} // larger in base64
	payload := string(contract.JoinPayload([]byte(`["giant","red",{"_placeholder":true,"num":0}]`), giant))
	var want []string
	for i := range n {
		event, headers := fmt.Sprintf(`["m","red",%d]`, i), by("u1")
		if i%3 != 0 {
			event, headers = payload, append(headers, contract.HeaderAttachments, contract.FormatAttachments(giant))
		}
		want = append(want, f.id(f.say(contract.To("red"), event, headers...).Sequence))
	}
	f.start()
	f.settled()

	// read follows pages to their end.
	read := func(way, cursor string, next func(contract.HistoryPage) (cursor string, more bool)) (pages [][]contract.HistoryMessage) {
		for more := true; more; {
			page := f.pageOf(fmt.Sprintf(`{"namespace":"/","room":"red",%q:%q,"limit":200}`, way, cursor))
			stubs := 0
			for _, m := range page.Messages {
				i := slices.Index(want, m.Stamp.ID)
				event := fmt.Sprintf(`["m","red",%d]`, i)
				if i%3 != 0 {
					event = `["giant"]`
				}
				if m.Omitted {
					stubs++
				}
				if string(m.Event) != event || m.Omitted != (i%3 != 0) || len(m.Attachments) > 0 || m.Stamp.User != "u1" || m.Stamp.Name == "" {
					t.Fatalf("message %d: %s %+v", i, m.Event, m)
				}
			}
			if len(page.Messages) == 0 || stubs > 8 {
				t.Fatalf("%s %s: a page of %d messages with %d stubs", way, cursor, len(page.Messages), stubs)
			}
			pages = append(pages, page.Messages)
			cursor, more = next(page)
		}
		return pages
	}
	older := func(p contract.HistoryPage) (string, bool) { return p.Messages[0].Stamp.ID, p.More }
	newer := func(p contract.HistoryPage) (string, bool) { return p.Messages[len(p.Messages)-1].Stamp.ID, *p.Newer }
	all := func(pages [][]contract.HistoryMessage) (found []string) {
		for _, m := range slices.Concat(pages...) {
			found = append(found, m.Stamp.ID)
		}
		return found
	}
	backwards := read("before", f.id(1<<40), older)
	slices.Reverse(backwards)
	if got := all(backwards); !slices.Equal(got, want) {
		t.Errorf("backwards: %d messages; want %d", len(got), n)
	}
	if got := all(read("after", "0-0", newer)); !slices.Equal(got, want) {
		t.Errorf("forwards: %d messages; want %d", len(got), n)
	}
	for i, id := range want[:6] {
		around := read("around", id, func(contract.HistoryPage) (string, bool) { return "", false })
		if got := all(around); !slices.Contains(got, id) {
			t.Errorf("around message %d: %s", i, got)
		}
	}
	if err := f.log.has("left messages out", "max_payload"); err != nil {
		t.Error(err)
	}
}
