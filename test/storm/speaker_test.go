package storm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// speakers is how many publishers there are. A room is one publisher's, so that its numbers are stored in order.
const speakers = 4

// latencies are those of publishes, in phases: from when a message was due until its PubAck, so that a publish that
// hangs counts for all that wait behind it.
type latencies struct {
	mu     sync.Mutex
	phase  string
	all    map[string][]time.Duration
	failed int
}

func (l *latencies) begin(phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase = phase
}

func (l *latencies) add(d time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed++
		return
	}
	if l.all == nil {
		l.all = make(map[string][]time.Duration)
	}
	l.all[l.phase] = append(l.all[l.phase], d)
}

// quantiles describes a phase.
func (l *latencies) quantiles(phase string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return quantiles(l.all[phase])
}

func quantiles(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	all = slices.Sorted(slices.Values(all))
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v  p99 %v  max %v  (%d)", at(0.5), at(0.99), at(1), len(all))
}

// report is what the speakers' process prints of each publish, one a line.
type report struct {
	Room   string
	Number int
	Took   time.Duration
	Error  string `json:",omitempty"`
}

// speech is what the speakers' process is to say.
type speech struct {
	URL   string
	Rooms [][]string // each speaker's
	Every []time.Duration
}

// serveSpeech says numbers until the context ends. It is a process of its own, so that what it measures is not how long its
// goroutines wait for those of thousands of clients.
func serveSpeech(ctx context.Context) error {
	var sp speech
	if err := json.Unmarshal([]byte(os.Args[1]), &sp); err != nil {
		return err
	}
	nc, err := nats.Connect(sp.URL)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience)) // how long a publish takes is in the report
	if err != nil {
		return err
	}
	fmt.Println("ready")
	var out sync.Mutex
	var running sync.WaitGroup
	for i, rooms := range sp.Rooms {
		running.Go(func() {
			speak(ctx, js, rooms, sp.Every[i], func(r report) {
				line, err := json.Marshal(r)
				if err != nil {
					panic(err) // our own type
				}
				out.Lock()
				defer out.Unlock()
				fmt.Println(string(line))
			})
		})
	}
	running.Wait()
	return nil
}

// speak says numbers to its rooms in turn.
func speak(ctx context.Context, js jetstream.JetStream, rooms []string, every time.Duration, tell func(report)) {
	said := make(map[string]int)
	start := time.Now()
	for i := 0; ; i++ {
		due := start.Add(time.Duration(i) * every)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		r := report{Room: rooms[i%len(rooms)]}
		r.Number = said[r.Room] + 1
		subject, err := contract.Subjects{}.To(contract.Emit, "/", contract.To(r.Room))
		if err == nil {
			_, err = js.Publish(context.WithoutCancel(ctx), subject, fmt.Appendf(nil, `["n",%q,%d]`, r.Room, r.Number),
				jetstream.WithMsgID(fmt.Sprintf("%s %d", r.Room, r.Number)))
		}
		r.Took = time.Since(due)
		if err != nil {
			r.Error = err.Error()
		} else {
			said[r.Room] = r.Number
		}
		tell(r)
	}
}

// hear takes what the speakers' process prints, until it ends.
func (l *latencies) hear(lines *bufio.Scanner) (last map[string]int) {
	last = make(map[string]int)
	for lines.Scan() {
		var r report
		err := json.Unmarshal(lines.Bytes(), &r)
		if err == nil && r.Error != "" {
			err = errors.New(r.Error)
		}
		if l.add(r.Took, err); err == nil {
			last[r.Room] = r.Number
		}
	}
	return last
}
