package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// epochs says which incarnation of the main stream a post comes from. When that stream is deleted and made
// again its sequences start anew; the epoch, its creation time, keeps ids apart. The posts stream outlives
// it and may hold posts of several incarnations at once.
//
// JetStream names the incarnation of each copied message at the end of the header Nats-Stream-Source, as a
// hash of the creation time. Servers before 2.15 do not, but they do not copy from a stream made anew
// either, so that there the stream of today is the right answer.
type epochs struct {
	js      jetstream.JetStream
	stream  string
	store   epochStore
	log     *slog.Logger
	known   map[string]int64
	current int64        // the main stream's, when last looked at; 0 if it does not exist
	largest atomic.Int32 // message that the main stream takes, when last looked at; 0 or less: no limit
}

type epochStore interface {
	Epoch(ctx context.Context, identity string) (epoch int64, known bool, err error)
	NoteEpoch(ctx context.Context, identity string, epoch int64) (held int64, err error)
}

// of is the epoch of a message that comes from the incarnation of that identity.
func (e *epochs) of(ctx context.Context, identity string, copied time.Time) (int64, error) {
	if epoch, ok := e.known[identity]; ok {
		return epoch, nil
	}
	if identity != "" {
		epoch, ok, err := e.store.Epoch(ctx, identity)
		if err != nil {
			return 0, err
		}
		if ok {
			e.remember(identity, epoch)
			return epoch, nil
		}
	}
	if err := e.look(ctx); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, err
	}
	if epoch, ok := e.known[identity]; ok {
		return epoch, nil
	}
	if identity == "" && e.current != 0 {
		return e.current, nil
	}
	return e.lost(ctx, identity, copied)
}

// lost gives an epoch to an incarnation that was deleted before anyone here looked at it. Its creation is not
// known any more; the first copy came after it and before the creation of the next one, so ids stay in order.
func (e *epochs) lost(ctx context.Context, identity string, copied time.Time) (int64, error) {
	epoch, err := e.store.NoteEpoch(ctx, identity, copied.UnixMilli())
	if err != nil {
		return 0, err
	}
	e.remember(identity, epoch)
	e.log.Warn("the main stream was deleted before its creation time was noted: ids of its messages differ in history from those heard live",
		"stream", e.stream, "incarnation", identity, "epoch", epoch)
	return epoch, nil
}

// look notes the main stream's incarnation of today. The error may wrap [jetstream.ErrStreamNotFound].
func (e *epochs) look(ctx context.Context) error {
	stream, err := e.js.Stream(ctx, e.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		e.current = 0
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", e.stream, err)
	}
	e.largest.Store(stream.CachedInfo().Config.MaxMsgSize)
	created := stream.CachedInfo().Created
	name, epoch := hash(created), created.UnixMilli()
	if epoch == e.current {
		return nil
	}
	held, err := e.store.NoteEpoch(ctx, name, epoch)
	if err != nil {
		return err
	}
	if e.current != 0 {
		e.log.Warn("the main stream was deleted and made again; ids begin with its new creation time", "stream", e.stream, "epoch", contract.Epoch(created))
	}
	e.remember(name, held)
	e.current = held
	return nil
}

func (e *epochs) remember(identity string, epoch int64) {
	if e.known == nil {
		e.known = make(map[string]int64)
	}
	e.known[identity] = epoch
}

// maxIdentity is far more than servers write.
const maxIdentity = 64

// identity is the incarnation that a copied message names: the sixth field of
// "<stream> <sequence> <filter> <transform> <subject> <identity>", or "".
func identity(h contract.Header) string {
	fields := strings.Fields(contract.Last(h, "Nats-Stream-Source"))
	if len(fields) < 6 {
		return ""
	}
	return fields[5]
}

// hash is how nats-server makes an identity of a creation time: eight letters of its SHA-256.
func hash(created time.Time) string {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(created.UTC().Format(time.RFC3339Nano)))
	name := make([]byte, 8)
	for i := range name {
		name[i] = letters[int(sum[i])%len(letters)]
	}
	return string(name)
}
