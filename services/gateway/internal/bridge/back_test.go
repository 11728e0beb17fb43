package bridge

import (
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
)

// An update of the main stream that was begun before a new incarnation of it, and takes effect afterwards, does not have ids
// repeat: who knows the new incarnation puts it back.
func TestAnOvertakenUpdateDoesNotBringAnIncarnationBack(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	b := running(t, server)
	s := newSpeaker(t, server)
	overtaken := s.stream("NATTER")
	made := overtaken.Created
	next, err := provision.Renew(t.Context(), s.js, b.opts.Subjects, contract.IncarnationOf(made, nil), provision.Seen{}, time.Now(), b.opts.Storage)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the new incarnation to be noticed", func() bool { return b.epoch.get() == next.Epoch && b.Epoch() == next.Epoch })
	if _, err := s.js.UpdateStream(t.Context(), overtaken.Config); err != nil {
		t.Fatal(err)
	}
	until(t, "the incarnation to be put back, or taken for the one of before", func() bool {
		return contract.IncarnationOf(made, s.stream("NATTER").Config.Metadata) == next || b.Epoch() != next.Epoch
	})
	until(t, "the stream to be known again", func() bool { return b.epoch.get() != "" })
	if is := b.Epoch(); is != next.Epoch {
		t.Errorf("messages are of %s, want %s", is, next.Epoch)
	}
}
