package storm

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// tap hears what gateways ask of JetStream, and the answers.
type tap struct {
	messages chan *nats.Msg
}

// tally is what a tap heard.
type tally struct {
	requests map[string]int // by what was asked for
	read     int            // messages of the main stream that were read back
	most     int            // how often the same one was
}

const (
	lookUps       = "questions for the last messages"
	streamReads   = "reads of the stream"
	sessionReads  = "reads of a session"
	sessionWrites = "writes of a session"
	beatReads     = "reads of a sign of life"
	sessionWalks  = "sessions looked through" // by each survivor, when the lease has ended
)

func listen(t testing.TB, nc *nats.Conn) *tap {
	t.Helper()
	tap := &tap{messages: make(chan *nats.Msg, 1<<20)}
	for _, subject := range []string{"$JS.API.DIRECT.GET.>", "$KV.>", "_INBOX.>"} {
		if _, err := nc.ChanSubscribe(subject, tap.messages); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return tap
}

// take counts what was heard since the last time.
func (tap *tap) take() tally {
	t := tally{requests: make(map[string]int)}
	readers := make(map[string]bool) // inboxes for parts of the stream
	read := make(map[string]int)     // by sequence
	for n := len(tap.messages); n > 0; n-- {
		msg := <-tap.messages
		switch {
		case strings.HasPrefix(msg.Reply, "$JS.ACK."): // what a watcher is given
			if strings.Contains(msg.Subject, ".session.") {
				t.requests[sessionWalks]++
			}
		case strings.HasPrefix(msg.Subject, "$KV.") && strings.Contains(msg.Subject, ".session."):
			t.requests[sessionWrites]++
		case strings.Contains(string(msg.Data), "multi_last"):
			t.requests[lookUps]++
		case strings.Contains(string(msg.Data), "next_by_subj"):
			t.requests[streamReads]++
			readers[msg.Reply] = true
		case strings.Contains(msg.Subject, ".session."):
			t.requests[sessionReads]++
		case strings.Contains(msg.Subject, ".gateway."):
			t.requests[beatReads]++
		case readers[msg.Subject] && msg.Header.Get("Status") == "":
			sequence := msg.Header.Get("Nats-Sequence")
			read[sequence]++
			t.read++
			t.most = max(t.most, read[sequence])
		}
	}
	return t
}
