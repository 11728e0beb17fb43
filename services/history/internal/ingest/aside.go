package ingest

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"
)

// What can never be stored is taken out of the queue, where it would come back for ever and hold up the rest. It stays
// in the posts stream, for as long as that keeps posts.

// skip ends messages that are none of the contract.
func (in *Ingester) skip(skipped []refused) {
	for _, r := range skipped {
		in.Metrics.skipped.Inc()
		in.end(r.msg, slog.LevelWarn, "skipped a message that can never be stored", r.reason)
	}
}

// putAside ends a post that the database refuses for good, while it takes others.
func (in *Ingester) putAside(p post, reason error) {
	in.Metrics.aside.Inc()
	in.end(p.msg, slog.LevelError, "put a post aside that the database does not take; it stays in its stream", reason)
}

func (in *Ingester) end(msg jetstream.Msg, level slog.Level, what string, reason error) {
	var sequence uint64
	if meta, err := msg.Metadata(); err == nil {
		sequence = meta.Sequence.Stream
	}
	in.Log.Log(context.Background(), level, what, "stream", in.Subjects.Names().Posts, "subject", msg.Subject(), "sequence", sequence, "reason", reason)
	if err := msg.TermWithReason(reason.Error()); err != nil {
		in.Log.Debug("cannot terminate a message; it is delivered again, with the same end", "error", err)
	}
}
