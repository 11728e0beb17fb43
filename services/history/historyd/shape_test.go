package historyd

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

// TestNoRowBreaksWhatHasOthers has messages that earlier versions stored, and one that is nested as deep as a post may be: clients of a gateway with
// the parser msgpack cannot be given it in a page.
func TestNoRowBreaksWhatHasOthers(t *testing.T) {
	f := newFixture(t)
	f.start()
	nested := func(depth int) string {
		return `["m","words",` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth)
	}
	post := func(event string) string { return f.id(f.say(contract.To("red"), event, by("u1")...).Sequence) }
	first, deep, bad, edited, deepest, last := post(`["m","words first"]`), post(`["m","words"]`), post(`["m","words"]`), post(`["m","words"]`), post(nested(socketio.MaxDepth)), post(`["m","words last"]`)
	f.awaitRoom("red", 6)
	f.settled()
	f.request("edit", `{"namespace":"/","room":"red","id":"`+edited+`","user":"u1","value":"words, edited"}`, `{"ok":true}`)
	for sequence, event := range map[int]string{2: nested(9999), 3: "[\"m\",\"words\xff\"]"} {
		f.execute(fmt.Sprintf("UPDATE messages SET payload = %s WHERE sequence = %d", blob(event), sequence))
	}
	f.execute("UPDATE changes SET payload = " + blob(nested(9999)))

	for endpoint, request := range map[string]string{
		"page": `{"namespace":"/","room":"red"}`, "page after": `{"namespace":"/","room":"red","after":"0-0"}`,
		"page around": `{"namespace":"/","room":"red","around":"` + edited + `"}`, "search": `{"namespace":"/","text":"words"}`,
	} {
		name, _, _ := strings.Cut(endpoint, " ")
		answer := f.request(name, request, `"ok":true`)
		if err := socketio.ValidArgs([]byte("["+answer+"]"), 0); err != nil {
			t.Fatalf("%s: clients cannot take the answer: %v", endpoint, err)
		}
		if got, want := ids(t, answer), []string{first, deep, bad, edited, deepest, last}; !slices.Equal(got, want) {
			t.Errorf("%s has %s; want %s", endpoint, got, want)
		}
		for id, stub := range map[string]string{deep: `["m"]`, bad: `["m"]`, deepest: `["m"]`} {
			if !strings.Contains(answer, `{"event":`+stub+`,"stamp":{"id":"`+id+`"`) {
				t.Errorf("%s has no stub of %s: %s", endpoint, id, answer)
			}
		}
		if n := strings.Count(answer, `"omitted":true`); n != 3 {
			t.Errorf("%s has %d stubs: %s", endpoint, n, answer)
		}
	}
	messages, _, omitted, _ := f.exportAll("u1", 200)
	if len(messages) != 4 || messages[2].Stamp.ID != deepest || !slices.Equal(omitted, []string{deep, bad, edited}) || messages[1].Trail[0].Event != nil {
		t.Errorf("the export has %d messages, and leaves %s out", len(messages), omitted)
	}
	f.request("trail", `{"namespace":"/","room":"red","id":"`+edited+`"}`, `"action":"edit"`)
}

// ids are those of the messages in an answer.
func ids(t *testing.T, answer string) (found []string) {
	t.Helper()
	var page contract.HistoryPage
	if err := json.Unmarshal([]byte(answer), &page); err != nil {
		t.Fatal(err)
	}
	for _, m := range page.Messages {
		found = append(found, m.Stamp.ID)
	}
	return found
}

// blob writes bytes into a statement.
func blob(value string) string {
	if kind == "postgres" {
		return "decode('" + hex.EncodeToString([]byte(value)) + "', 'hex')"
	}
	return "X'" + hex.EncodeToString([]byte(value)) + "'"
}
