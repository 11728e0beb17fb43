package sdk_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// lookUp is where it is asked when the stream was made.
const lookUp = "$JS.API.STREAM.INFO.NATTER"

// However many post, the stream is looked up for all of them together: what is stored meanwhile does not look in its turn.
func TestPostsLookTheStreamUpTogether(t *testing.T) {
	const posters, each = 64, 30
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	looks, err := g.nc.SubscribeSync(lookUp)
	must(t, err)
	must(t, g.nc.Flush())
	ctx := deadline(t)
	var mu sync.Mutex
	ids := make(map[string]bool)
	var all sync.WaitGroup
	for range posters {
		all.Go(func() {
			for range each {
				id, err := server.To("a").Post(ctx, "e")
				if err != nil {
					t.Errorf("post: %v", err)
				}
				mu.Lock()
				ids[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	equal(t, "ids", len(ids), posters*each)
	must(t, g.nc.Flush())
	n, _, err := looks.Pending()
	must(t, err)
	// Whoever posts had one post at most under way when the stream was looked up first.
	t.Logf("%d posts looked the stream up %d times", len(ids), n)
	if n == 0 || n > posters {
		t.Errorf("%d posts looked the stream up %d times", len(ids), n)
	}
}

// A question that gets lost, as with a leader that is killed, is asked again soon. What was posted is stored all the while.
func TestPostAsksAgainForItsID(t *testing.T) {
	t.Parallel()
	config := func(permissions string) natstest.Option {
		file := filepath.Join(t.TempDir(), "nats.conf")
		must(t, os.WriteFile(file, []byte(`authorization { users: [
			{ user: gateway, password: g }
			{ user: orders, password: o, `+permissions+` }
		] }`), 0o600))
		return natstest.WithConfigFile(file)
	}
	srv := natstest.Run(t, config(`permissions: { publish: { deny: "`+lookUp+`" } }`))
	g := newGateway(t, srv, nats.UserInfo("gateway", "g"))
	lost := make(chan error, 16)
	nc := srv.Connect(t, nats.UserInfo("orders", "o"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { lost <- err }))
	server := newServer(t, nc, func(o *sdk.Options) { o.PublishTimeout = time.Minute })

	type posted struct {
		id  string
		err error
	}
	post := func() (<-chan posted, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		t.Cleanup(cancel)
		done := make(chan posted, 1)
		go func() {
			id, err := server.Post(ctx, "e")
			done <- posted{id, err}
		}()
		receive(t, lost)
		return done, cancel
	}
	first, cancel := post()
	cancel()
	if p := receive(t, first); !errors.Is(p.err, sdk.ErrUnknownID) || errors.Is(p.err, sdk.ErrNotStored) {
		t.Errorf("post: %q, %v", p.id, p.err)
	}
	second, _ := post()
	srv.Restart(config(""))
	p := receive(t, second)
	must(t, p.err)
	stream, err := g.js.Stream(deadline(t), g.con.Names().Stream)
	must(t, err)
	equal(t, "id", p.id, contract.MessageID(contract.Epoch(stream.CachedInfo().Created), 2))
}
