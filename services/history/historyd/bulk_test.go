package historyd

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/pgtest"
)

// limitInserts has PostgreSQL fail for a statement that stores too much at once, in a way that may pass as far as it says.
func (f *fixture) limitInserts(tooMuch string) {
	f.t.Helper()
	f.cfg.Database = pgtest.New(f.t)
	f.start()
	f.settled() // the tables are there
	f.stop()
	db, err := sql.Open("pgx", f.cfg.Database)
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`CREATE FUNCTION bounded() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF (SELECT ` + tooMuch + ` FROM fresh) THEN RAISE EXCEPTION ''too much at once''; END IF; RETURN NULL; END'`,
		`CREATE TRIGGER bounded AFTER INSERT ON messages REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION bounded()`,
	} {
		if _, err := db.ExecContext(f.ctx(), statement); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestABatchThatFailsAgainIsTakenApart(t *testing.T) {
	f := newFixture(t)
	f.limitInserts(`count(*) > 4`)
	for i := range 12 {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i))
	}
	f.start()
	f.awaitRoom("red", 12)
	f.settled()
}

// TestABatchIsBoundedInBytes has large posts come behind small ones, after which many are taken at a time.
func TestABatchIsBoundedInBytes(t *testing.T) {
	f := newFixture(t)
	f.limitInserts(`sum(length(payload)) > 16 * 1024 * 1024`)
	for range 60 {
		f.say(contract.To("red"), `["m","small"]`)
	}
	large := strings.Repeat("x", 900_000)
	for range 20 {
		f.say(contract.To("blue"), `["m","`+large+`"]`)
	}
	s := f.start()
	f.settled()
	if n := metric(t, s, "stored_total"); n != 80 {
		t.Errorf("%v stored; want 80", n)
	}
	if f.log.has("too much at once") == nil {
		t.Errorf("an attempt stored too much at once\n%s", f.log)
	}
}
