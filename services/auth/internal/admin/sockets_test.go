package admin

import (
	"encoding/json"
	"testing"
)

// A list that does not fit into a message is cut between two sockets.
func TestFit(t *testing.T) {
	all := []socket{{ID: "a", Rooms: []string{}}, {ID: "b", Rooms: []string{"red"}}, {ID: "c", Rooms: []string{}}}
	var sizes []int64
	for _, s := range all {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, int64(len(text))+1)
	}
	for size, want := range map[int64]int{
		0: 0, sizes[0] - 1: 0, sizes[0]: 1, sizes[0] + sizes[1] - 1: 1, sizes[0] + sizes[1]: 2, 1 << 20: 3,
	} {
		list, err := fit(all, size)
		if err != nil || len(list) != want {
			t.Errorf("%d bytes: %d sockets, %v; want %d", size, len(list), err, want)
		}
		if text, err := json.Marshal(list); err != nil || int64(len(text)) > size+2 {
			t.Errorf("%d bytes: %s, %v", size, text, err)
		}
	}
}
