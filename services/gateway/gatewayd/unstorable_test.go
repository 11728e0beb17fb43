package gatewayd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/natstest"
)

// A socket in more rooms than a message can name goes on, and cannot be recovered: as it was before, it would miss what
// the other rooms were told.
func TestSocketWhoseSessionIsTooLargeIsNotRecoverable(t *testing.T) {
	t.Parallel()
	d := deploy(t, natstest.WithOptions(func(o *embed.Options) { o.MaxPayload = 4 << 10 }))
	g := d.gateway()
	s := g.dial().ask("/", "")
	pid := s.kept()
	for i := range 60 {
		s.join(strings.Repeat("r", 100) + fmt.Sprint(i))
	}
	wait(t, "the end of its session", func() bool {
		stored, _ := d.session(pid)
		return stored.Ended && len(stored.Rooms) == 0
	})
	_, revision := d.session(pid)
	s.join("one more")
	if _, again := d.session(pid); again != revision {
		t.Fatal("its session was stored again")
	}
	d.say([]string{"one more"}, 0, 1)
	offset := s.wantSaid("0")
	s.client.close()
	fresh := g.back("/", pid, offset)
	if fresh.kept() == pid || fresh.id == s.id {
		t.Fatal("its client goes on as it was before")
	}
}
