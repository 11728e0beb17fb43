package session

import (
	"testing"
	"time"
)

func TestStaysAreBounded(t *testing.T) {
	var all stays
	for i := range uint64(3 * maxStays) {
		all = all.add(time.Minute, Stay{"red", i, i}, Stay{"red", i, i + 1})
	}
	if n := len(all); n != maxStays || all[n-1].UpTo != 3*maxStays {
		t.Fatalf("%d are kept, the last one is %+v", n, all[n-1])
	}
	all[0].known, all[1].known = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
	if all = all.add(time.Minute); len(all) != maxStays-2 || len(all.stored()) != len(all) {
		t.Fatalf("%d are kept", len(all))
	}
}
