package queue

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// pullWait is how long a pull waits for the first message. A pull that is lost with a connection costs
// that much.
const pullWait = 2 * time.Second

// Pull takes what is there, n at most, or waits a while for the first message and takes what came with it; none may come. Messages may
// accompany an error.
func Pull(ctx context.Context, c jetstream.Consumer, n int) ([]jetstream.Msg, error) {
	msgs, err := drain(c.FetchNoWait(n))
	if len(msgs) > 0 || err != nil {
		return msgs, err
	}
	waiting, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	msgs, err = drain(c.Fetch(1, jetstream.FetchContext(waiting)))
	switch {
	case len(msgs) == 0 && waiting.Err() != nil:
		return nil, nil
	case len(msgs) == 0 || err != nil || n == 1:
		return msgs, err
	}
	more, err := drain(c.FetchNoWait(n - 1))
	return append(msgs, more...), err
}

func drain(batch jetstream.MessageBatch, err error) ([]jetstream.Msg, error) {
	if err != nil {
		return nil, err
	}
	var msgs []jetstream.Msg
	for msg := range batch.Messages() {
		msgs = append(msgs, msg)
	}
	return msgs, batch.Error()
}
