package historyd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/pgtest"
)

// TestOneInstanceCannotReachTheDatabase has it hold posts that the other one could store, and take questions that the other
// one could answer.
func TestOneInstanceCannotReachTheDatabase(t *testing.T) {
	f := newFixture(t)
	direct := pgtest.New(t) // an SQLite file is for one
	link := pgtest.Through(t, direct)
	f.tune = func(s *Service) { s.ackWait, s.storeWait = time.Second, time.Second }
	f.cfg.Database = link.URL
	a := f.start()
	f.cfg.Database = direct
	f.start()
	listening := func(instances int) {
		t.Helper()
		f.until("who listens", func() error {
			n, err := f.listening("page")
			if err == nil && n != instances {
				err = fmt.Errorf("%d instances answer; want %d", n, instances)
			}
			return err
		})
	}
	listening(2)
	f.until("two that take posts", func() error {
		if n := strings.Count(f.log.String(), "storing what is posted"); n != 2 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	n := 0
	say := func() {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, n))
		n++
	}
	link.Cut()
	f.until("posts in the hands of the one that cannot store them", func() error {
		if say(); f.log.has("history stands still", "store") != nil {
			return errors.New("none")
		}
		return nil
	})
	all := func() {
		t.Helper()
		f.until("all posts", func() error {
			found := 0
			for before, more := "", true; more; {
				page := f.page("red", before, contract.MaxHistoryPage)
				if found += len(page.Messages); len(page.Messages) == 0 {
					break
				}
				before, more = page.Messages[0].Stamp.ID, page.More
			}
			if found != n {
				return fmt.Errorf("%d of %d are stored", found, n)
			}
			return nil
		})
	}
	all()
	listening(1)
	for range 20 {
		if msg, err := f.ask(`{"namespace":"/","room":"red","limit":1}`); err != nil || msg.Header.Get("Nats-Service-Error-Code") != "" {
			t.Fatalf("a question that the other instance could answer: %v, %+v", err, msg)
		}
	}
	link.Mend()
	listening(2)
	f.until("an instance that is well again", func() error {
		if r := a.Health().Report(f.ctx()); !r.Ready {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	say()
	all()
	f.settled()
}

// listening is how many instances have an endpoint.
func (f *fixture) listening(endpoint string) (instances int, err error) {
	inbox := f.nc.NewInbox()
	sub, err := f.nc.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is there
	if err := f.nc.PublishRequest("$SRV.INFO.natter-history", inbox, nil); err != nil {
		return 0, err
	}
	for {
		msg, err := sub.NextMsg(200 * time.Millisecond)
		if err != nil {
			return instances, nil
		}
		var info struct {
			Endpoints []struct{ Name string }
		}
		if err := json.Unmarshal(msg.Data, &info); err != nil {
			return 0, fmt.Errorf("%w: %q", err, msg.Data)
		}
		for _, e := range info.Endpoints {
			if e.Name == endpoint {
				instances++
			}
		}
	}
}
