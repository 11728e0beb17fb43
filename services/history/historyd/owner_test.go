package historyd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// answering counts the instances that answer for history, as "nats micro ls" does.
func (f *fixture) answering() (n int, err error) {
	inbox := f.nc.NewInbox()
	sub, err := f.nc.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	if err := f.nc.PublishRequest("$SRV.PING.natter-history", inbox, nil); err != nil {
		return 0, err
	}
	for {
		_, err := sub.NextMsg(200 * time.Millisecond)
		switch {
		case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders):
			return n, sub.Unsubscribe()
		case err != nil:
			return n, err
		}
		n++
	}
}

// isAnswering waits until so many do: on a busy machine an answer may come when it is no longer waited for.
func (f *fixture) isAnswering(want int) {
	f.t.Helper()
	f.until(fmt.Sprintf("%d instances to answer", want), func() error {
		n, err := f.answering()
		if err == nil && n != want {
			err = fmt.Errorf("%d answer", n)
		}
		return err
	})
}

// standsStill waits until the service says that its queue is another database's.
func (f *fixture) standsStill(s *Service, queue string) {
	f.t.Helper()
	f.until("readiness that names the queue", func() error {
		r := s.Health().Report(f.ctx())
		if text := fmt.Sprint(r.Checks["queue"]); r.Ready || !strings.Contains(text, "the queue of another database") || !strings.Contains(text, queue) {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
}

func (f *fixture) ready(s *Service) {
	f.t.Helper()
	f.until("readiness", func() error {
		if r := s.Health().Report(f.ctx()); !r.Ready {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
}

var queues = map[string]string{"NATTER_POSTS": "history", "NATTER_EVENTS": "history-facts"}

func (f *fixture) removeQueues(streams ...string) {
	f.t.Helper()
	for _, stream := range streams {
		if err := f.js.DeleteConsumer(f.ctx(), stream, queues[stream]); err != nil {
			f.t.Fatal(err)
		}
	}
}

// TestAnotherDatabaseDoesNotAnswer starts an instance with a database of its own beside another: it would take a part of the
// posts, and answer a part of the requests with what it does not have.
func TestAnotherDatabaseDoesNotAnswer(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["room message","red","kept"]`, by("u1")...)
	f.awaitRoom("red", 1)
	own, stopOwn := f.cfg.Database, f.stop
	f.cfg.Database, f.cfg.Keep = newDatabase(t), time.Nanosecond // what is swept by it is gone
	f.tune = func(s *Service) { s.sweepEvery = time.Millisecond }
	second := f.start()
	f.standsStill(second, "history of NATTER_POSTS")
	if err := f.log.has("history neither stores nor answers", "the queue of another database", "nats consumer rm NATTER_POSTS history"); err != nil {
		t.Error(err)
	}
	f.isAnswering(1)
	for i := range 20 {
		if page := f.page("red", "", 10); len(page.Messages) != 1 {
			t.Fatalf("page %d has %d messages", i, len(page.Messages))
		}
	}

	stopOwn()
	f.isAnswering(0)
	if _, err := f.ask(`{"namespace":"/","room":"red"}`); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("asked: %v; want no responders", err)
	}
	f.remove("u1") // a fact that waits for the right one
	// One of the queues alone is not enough: each of the two databases would have one.
	f.removeQueues("NATTER_POSTS")
	f.standsStill(second, "history-facts of NATTER_EVENTS")
	f.say(contract.To("red"), `["room message","red","kept"]`)
	f.stop()

	f.cfg.Database, f.cfg.Keep = own, 0
	f.start()
	f.awaitRoom("red", 2)
	f.until("the redaction", func() error { return f.isRedacted(f.page("red", "", 10)) })
}

// TestAnotherDatabaseTakesOver gives the queues to a database that waits for them, once their own is lost.
func TestAnotherDatabaseTakesOver(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",1]`)
	f.awaitRoom("red", 1)
	f.stop()
	f.cfg.Database = newDatabase(t)
	second := f.start()
	f.standsStill(second, "history of NATTER_POSTS")
	f.removeQueues("NATTER_POSTS", "NATTER_EVENTS")
	f.awaitRoom("red", 1)
	f.ready(second)
}

// TestTheQueueIsLost has the consumers made anew for another database while the service runs: one is enough for it to stop,
// and it goes on when it has both back.
func TestTheQueueIsLost(t *testing.T) {
	for stream, filter := range map[string]string{"NATTER_POSTS": "", "NATTER_EVENTS": "natter.event.user.deleted"} {
		t.Run(stream, func(t *testing.T) {
			f := newFixture(t)
			s := f.start()
			f.say(contract.To("red"), `["m",1]`)
			f.awaitRoom("red", 1)
			f.settled()
			config := jetstream.ConsumerConfig{
				Durable: queues[stream], AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: filter,
				Metadata: map[string]string{"natter.database": "OTHER"},
			}
			f.until("a consumer of another database", func() error {
				err := f.js.DeleteConsumer(f.ctx(), stream, queues[stream])
				if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
					_, err = f.js.CreateConsumer(f.ctx(), stream, config) // fails if the service was quicker
				}
				return err
			})
			f.say(contract.To("red"), `["m",2]`)
			f.standsStill(s, queues[stream]+" of "+stream)
			f.isAnswering(0)
			if err := f.log.has("history stops: its queue", "another database"); err != nil {
				t.Error(err)
			}
			f.removeQueues(stream)
			f.awaitRoom("red", 2)
			f.ready(s)
			var stats contract.StatsReply
			msg, err := f.nc.RequestWithContext(f.ctx(), "natter.history.stats", nil)
			if err != nil || json.Unmarshal(msg.Data, &stats) != nil || stats.Problem != "" {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}
