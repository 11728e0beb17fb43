package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/copying"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// copies watches that JetStream copies what is posted into the posts stream. The main stream forgets after minutes, so a
// post that is not copied meanwhile would be lost to history though it was acknowledged. Copying stops when the account
// or the disk is full, or when the posts stream has no leader.
//
// When a post waits for its copy for too long, the main stream is told to keep everything for the time being
// ([provision.Hold]), and if that goes on, or is refused, nothing more that clients post is published: their messages wait
// in the outbox, and are given up without an ack. Both end when copying has caught up.
type copies struct {
	opts  Options
	js    jetstream.JetStream
	watch *copying.Watch
	epoch *epoch
	// stored is when JetStream stored something of this gateway's last.
	stored func() time.Time
	posts  string // what the subjects of posts begin with

	every time.Duration // between two looks
	late  time.Duration // a post that waits for so long for its copy is late
	most  time.Duration // and nobody may post any more after so long

	holding atomic.Bool

	mu   sync.Mutex
	made time.Time // when the main stream was made

	// Of run.
	unknown time.Time // since when nobody can tell; zero if that is known
	calm    int       // looks in a row at which nothing was late
	held    bool      // the main stream keeps everything, as far as this gateway knows
	told    bool      // it is in the log that posts are late
	still   still
}

// errNotCopied says why a message is held.
var errNotCopied = errors.New("posts are not copied for history now")

const (
	copiesEvery = 2 * time.Second
	copiesLate  = 5 * time.Second
	// copiesMost is more than JetStream needs, after the main stream has another leader, to go on with copying (some 15 s).
	copiesMost = 20 * time.Second
	// calmLooks is at how many looks in a row nothing must be late before the main stream forgets again.
	calmLooks = 3
	// holdLooks is how often it is looked whether another gateway, which is gone, has told the main stream to keep everything.
	holdLooks = 30
)

func newCopies(nc *nats.Conn, js jetstream.JetStream, e *epoch, stored func() time.Time, opts Options) *copies {
	c := &copies{opts: opts, js: js, watch: copying.New(nc, opts.Subjects), epoch: e, stored: stored, posts: strings.TrimSuffix(opts.Subjects.AllOf(contract.Post), ">"), every: copiesEvery, late: copiesLate, most: copiesMost}
	// All must be over before what is late has aged out.
	if age := opts.StreamAge; age > 0 {
		c.late = min(c.late, age/4)
		c.every = min(c.every, age/8)
		c.most = min(c.most, 2*age)
	}
	return c
}

// holds says whether a message must not be published now, by its subject.
func (c *copies) holds(subject string) bool {
	return c.holding.Load() && strings.HasPrefix(subject, c.posts)
}

// begin makes the posts stream, if it is not there, beside a main stream that was made at the given time.
func (c *copies) begin(ctx context.Context, made time.Time) error {
	if _, err := provision.Posts(ctx, c.js, c.opts.Subjects, 0, c.opts.Storage); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = made
	return nil
}

// run watches until the context ends.
func (c *copies) run(ctx context.Context) {
	if c.every <= 0 {
		return
	}
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if c.epoch.get() == "" { // NATS or the streams are away: nothing is stored anyway
			c.unknown = time.Time{}
			continue
		}
		posts, lag, err := c.lag(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			c.resume(ctx, posts, lag)
		}
		c.judge(ctx, posts, lag, err)
	}
}

// judge acts on what a look has shown: the posts stream, if it was seen, and for how long the oldest post has waited for its
// copy, or that nobody can tell.
func (c *copies) judge(ctx context.Context, posts *jetstream.StreamInfo, lag time.Duration, err error) {
	if err == nil {
		c.unknown = time.Time{}
	} else {
		if c.unknown.IsZero() {
			c.unknown = time.Now()
		}
		lag = time.Since(c.unknown)
	}
	if lag < c.late {
		if err == nil {
			c.well(ctx, lag)
		}
		return
	}
	c.calm = 0
	if held := provision.Hold(ctx, c.js, c.opts.Subjects, c.opts.Storage); held != nil {
		c.held = false
		err = errors.Join(err, held)
	} else {
		c.held = true
	}
	holding := lag >= c.most || !c.held && lag >= 2*c.late
	c.opts.Metrics.Copies(lag, holding || c.holding.Load())
	args := []any{"stream", c.opts.Subjects.Names().Posts, "for", lag.Round(time.Millisecond), "error", err}
	if !c.told {
		c.told = true
		c.opts.Log.Warn("posts are not copied for history; the main stream keeps everything until they are", append(args, "kept", c.held)...)
	}
	if holding && !c.holding.Swap(true) {
		c.opts.Log.Error("what clients post is held, and not acknowledged, until posts are copied for history again", append(args, "remedy", c.remedy(posts))...)
	}
}

// well notes that nothing is late. Clients may post at once; the main stream forgets again a little later.
func (c *copies) well(ctx context.Context, lag time.Duration) {
	c.opts.Metrics.Copies(lag, false)
	if c.holding.Swap(false) || c.told {
		c.opts.Log.Info("posts are copied for history again", "stream", c.opts.Subjects.Names().Posts)
	}
	c.told = false
	c.calm++
	if c.calm < calmLooks || !c.held && c.calm%holdLooks != calmLooks {
		return
	}
	if err := provision.Unhold(ctx, c.js, c.opts.Subjects, c.opts.StreamAge, c.opts.Storage); err != nil {
		if ctx.Err() == nil {
			c.opts.Log.Warn("the main stream still keeps everything; trying again", "error", err)
		}
		c.calm = 0
		return
	}
	c.held = false
}

// lag is what the posts stream is like, and for how long the oldest post that is not copied has waited; 0 if there is none.
func (c *copies) lag(ctx context.Context) (*jetstream.StreamInfo, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, max(c.every, time.Second))
	defer cancel()
	name := c.opts.Subjects.Names().Posts
	stream, err := c.js.Stream(ctx, name)
	// Without sources it is one whose copying was being set up anew by a gateway that was killed.
	if errors.Is(err, jetstream.ErrStreamNotFound) || err == nil && len(stream.CachedInfo().Config.Sources) == 0 {
		stream, err = provision.Posts(ctx, c.js, c.opts.Subjects, 0, c.opts.Storage)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("stream %s: %w", name, err)
	}
	posts := stream.CachedInfo()
	c.mu.Lock()
	made := c.made
	c.mu.Unlock()
	_, lag, err := c.watch.Lag(ctx, made, posts)
	return posts, lag, err
}
