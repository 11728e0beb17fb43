package database_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestASearchFindsAllNewestFirst has thousands of messages that are close together, few that are far apart, epochs that
// were stored in another order, and words of which all, many, few and none of the messages have, evenly and not.
func TestASearchFindsAllNewestFirst(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
		var all []record.Message
		add := func(epoch, sequence int64) {
			text := fmt.Sprintf("common no%d", len(all)%300)
			if len(all)%7 == 0 {
				text += " seventh"
			}
			if sequence < 1000 {
				text += " formerly"
			}
			m := said(sequence, "ann", text, "room."+[]string{"red", "red", "red", "blue"}[random.IntN(4)])
			m.ID.Epoch = epoch
			all = append(all, m)
		}
		for _, epoch := range []int64{7, 3, 900} {
			sequence := int64(0)
			for i := range 1250 {
				sequence++
				if i > 1200 {
					sequence += random.Int64N(1 << 16)
				}
				if i%500 == 499 {
					sequence += 1 << 20
				}
				add(epoch, sequence)
			}
		}
		shuffled := slices.Clone(all)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for chunk := range slices.Chunk(shuffled, 1000) {
			appendAll(t, s, chunk...)
		}
		slices.SortFunc(all, func(a, b record.Message) int { return b.ID.Compare(a.ID) })
		many := []string{"room.blue"}
		for i := range 1000 {
			many = append(many, fmt.Sprintf("room.%d", i))
		}
		for _, text := range []string{"common", "seventh", "formerly", "formerly seventh", "nowhere", "seventh common no7", "comm*", "no123*", "form* seventh"} {
			words := record.ParseWords(text)
			for _, targets := range [][]string{nil, {"room.red"}, {"room.blue", "room.green"}, many} {
				for range 2 {
					before, n := all[random.IntN(len(all))].ID, 1+random.IntN(60)
					if n > 40 {
						before, n = record.Newest, 300
					}
					var want, got []string
					for _, m := range all {
						if m.ID.Compare(before) < 0 && len(want) < n && (targets == nil || slices.Contains(targets, m.Targets[0])) && record.Has(m.Event, words) {
							want = append(want, m.ID.String())
						}
					}
					err := s.Search(t.Context(), "_", targets, words, before, min(n, 51), func(m record.Message) bool {
						got = append(got, m.ID.String())
						return len(got) < n
					})
					if err != nil || !slices.Equal(got, want) {
						t.Fatalf("%q in %.40v before %s, %d at most: %d found, %d expected, %v\n%.200s\n%.200s", text, targets, before, n, len(got), len(want), err, strings.Join(got, " "), strings.Join(want, " "))
					}
				}
			}
		}
	})
}

// TestASearchFindsNothingThatARoomHasSwept has messages in two rooms, one of which keeps them for a shorter time.
func TestASearchFindsNothingThatARoomHasSwept(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		for i := range int64(3) {
			m := said(i+1, "ann", "needle", "room.red", "room.blue")
			m.Time = noon.Add(time.Duration(i) * time.Hour)
			appendAll(t, s, m)
		}
		if n, err := s.Sweep(t.Context(), red, noon.Add(90*time.Minute)); n != 2 || err != nil {
			t.Fatalf("%d swept, %v", n, err)
		}
		for _, c := range []struct {
			targets []string
			want    string
		}{{[]string{"room.red"}, "1/3"}, {[]string{"room.blue"}, "1/3 1/2 1/1"}, {[]string{"room.red", "room.blue"}, "1/3 1/2 1/1"}, {nil, "1/3 1/2 1/1"}} {
			if got := find(t, s, c.targets, record.Word{Text: "needle"}); got != c.want {
				t.Errorf("in %v: %s; want %s", c.targets, got, c.want)
			}
		}
	})
}

// TestBothDatabasesFindTheSame looks for words in other scripts and cases: found is what the words of the messages say, and
// nothing that a database makes of them.
func TestBothDatabasesFindTheSame(t *testing.T) {
	texts := []string{"lunch", "今天天气很好我们去公园", "ſtraße STRASSE", "ΣΊΣΥΦΟΣ", "İstanbul ıspanak", "école e\u0301cole", "𞤀𞤣𞤤𞤢𞤥", "𰀀𰀁", "ⅷ", "Ꭰ ꭰ", "\uA7F7", "x\u200dy",
		"\U0001FBF0 digits", "ǅ", "ᲀ", "K Å", "日本語のテキスト", "ภาษาไทย", strings.Repeat("ö", 50)}
	looked := append([]string{"天气", "天", "好我*", "今天天气", "straße", "strasse", "ſtraße", "σίσυφος", "ISTANBUL", "ISPANAK", "ÉCOLE", "𞤢𞤣𞤤𞤢𞤥", "𰀁", "Ⅷ", "ꭰ", "\U0001FBF1", "ǆ", "в", "k", "å", "本語",
		"ไทย", "l*", strings.Repeat("Ö", 60)}, texts...)
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		var all []record.Message
		for i, text := range texts {
			all = append(all, said(int64(i+1), "ann", text, "room.red"))
		}
		appendAll(t, s, all...)
		for _, text := range looked {
			words := record.ParseWords(text)
			var got, want []record.Message
			for _, m := range slices.Backward(all) {
				if record.Has(m.Event, words) {
					want = append(want, m)
				}
			}
			err := s.Search(t.Context(), "_", []string{"room.red"}, words, record.Newest, 5, func(m record.Message) bool { got = append(got, m); return true })
			if err != nil || ids(got) != ids(want) || len(want) == 0 && !strings.Contains(text, "\U0001FBF1") {
				t.Errorf("%s: %s, %v; want %s", text, ids(got), err, ids(want))
			}
		}
	})
}
