package historyd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
)

// TestClusterLosesItsLeader stops the node that leads the main stream while messages are posted.
func TestClusterLosesItsLeader(t *testing.T) {
	t.Parallel()
	nodes := natstest.Cluster(t, 3)
	f := fixtureOn(t, nodes.Connect(t), nodes.URLs(), 3)
	f.start()
	const n = 40
	var want []contract.Stamp
	for i := range n {
		if i == n/2 {
			f.awaitRoom("red", i)
			info, err := f.main.Info(f.ctx())
			if err != nil {
				t.Fatal(err)
			}
			for _, node := range nodes {
				if node.Name() == info.Cluster.Leader {
					node.Shutdown()
				}
			}
		}
		want = append(want, f.sayUntilStored(fmt.Sprintf(`["m",%d]`, i)))
	}
	for i, m := range f.awaitRoom("red", n).Messages {
		if m.Stamp != want[i] || string(m.Event) != fmt.Sprintf(`["m",%d]`, i) {
			t.Errorf("%s %+v; want %+v", m.Event, m.Stamp, want[i])
		}
	}
	if err := f.log.has("creation time was noted"); err == nil {
		t.Error("the main stream's incarnation was not recognised")
	}
}

const publishWait = 2 * time.Second

// sayUntilStored posts to red and returns the stamp, with the time that the main stream says.
func (f *fixture) sayUntilStored(event string) (stamp contract.Stamp) {
	f.t.Helper()
	f.until("a post to be stored", func() error {
		ctx, cancel := context.WithTimeout(f.ctx(), publishWait) // without a leader nobody answers
		defer cancel()
		ack, err := f.js.Publish(ctx, "natter.post._.room.red", []byte(event), jetstream.WithMsgID(event))
		if err == nil {
			stamp.ID = f.id(ack.Sequence)
			stamp.Time, err = f.storedAt(ack.Sequence)
		}
		return err
	})
	return stamp
}

func (f *fixture) storedAt(sequence uint64) (time.Time, error) {
	msg, err := f.main.GetMsg(f.ctx(), sequence)
	if err != nil {
		return time.Time{}, err
	}
	if msg.Sequence != sequence {
		return time.Time{}, errors.New("another message")
	}
	return msg.Time.UTC(), nil
}
