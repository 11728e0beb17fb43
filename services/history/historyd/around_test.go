package historyd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

// TestAroundALargeMessage has one that fills more than half of a reply, and asks for it and for its neighbours: it is there,
// or the page says that there is more on its side.
func TestAroundALargeMessage(t *testing.T) {
	f := newFixture(t)
	f.start()
	const n, large = 5, 2
	ids := make([]string, n)
	for i := range n {
		text := ""
		if i == large {
			text = strings.Repeat("x", 700_000)
		}
		ids[i] = f.id(f.say(contract.To("red"), fmt.Sprintf(`["m",%d,%q]`, i, text)).Sequence)
	}
	f.settled()
	for around := range n {
		for _, limit := range []int{1, 2, 4, 50} {
			page := f.pageOf(fmt.Sprintf(`{"namespace":"/","room":"red","around":%q,"limit":%d}`, ids[around], limit))
			var got []int
			for _, m := range page.Messages {
				got = append(got, slices.Index(ids, m.Stamp.ID))
			}
			if !slices.Contains(got, around) {
				t.Errorf("around %d, %d at most: %v; the message asked for is missing", around, limit, got)
				continue
			}
			for i := range got[1:] {
				if got[i+1] != got[i]+1 {
					t.Errorf("around %d, %d at most: %v has a hole", around, limit, got)
				}
			}
			if page.More != (got[0] > 0) || *page.Newer != (got[len(got)-1] < n-1) {
				t.Errorf("around %d, %d at most: %v, more %t, newer %t", around, limit, got, page.More, *page.Newer)
			}
			if around == large && limit == 50 && len(got) < 3 {
				t.Errorf("around %d: %v; there was room for the small ones before it", around, got)
			}
		}
	}
}
