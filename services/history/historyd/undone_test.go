package historyd

import (
	"fmt"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// TestWhatAKilledInstanceLeftUndone puts into the database what another instance leaves there that is killed within an erasure, and
// between an edit and its announcement. Nobody tells this one.
func TestWhatAKilledInstanceLeftUndone(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m","red","secret"]`, by("u7")...)
	f.awaitRoom("red", 1)
	told := f.heardOf("natter.emit._.room.red")
	f.execute(fmt.Sprintf("INSERT INTO erased (author, until, done) VALUES ('u7', %d, FALSE)", time.Now().UnixNano()))
	f.execute(`INSERT INTO outbox (topic, epoch, sequence, namespace, target, event)
		VALUES ('changed:x:room.red', 0, 1, '_', 'room.red', CAST('["message edited",{}]' AS ` + map[string]string{"sqlite": "BLOB", "postgres": "BYTEA"}[kind] + `))`)
	f.hears(told, `["message edited",{}]`)
	f.until("the rest of the erasure", func() error {
		if page := f.page("red", "", 1); !page.Messages[0].Redacted {
			return fmt.Errorf("%+v", page)
		}
		return nil
	})
	f.awaitFacts(1)
}
