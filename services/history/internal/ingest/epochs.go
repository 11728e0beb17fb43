package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/history/internal/record"
)

// epochs says which incarnation of the main stream a post comes from. When that stream is deleted and made
// again its sequences start anew; the epoch, its creation time, keeps ids apart. The posts stream outlives
// it and may hold posts of several incarnations at once.
//
// JetStream names the incarnation of each copied message at the end of the header Nats-Stream-Source, as a
// hash of the creation time. Servers before 2.15 do not, but they do not copy from a stream made anew
// either, so that there the stream of today is the right answer.
//
// A main stream that went back, since nats-server lost power or a backup was put back, has the same creation time, and
// its sequences repeat. Whoever notices begins a new incarnation of it, which stands in its metadata: a gateway, or the history service,
// which has what was stored before. JetStream does not name that; sequences and times tell it.
type epochs struct {
	js       jetstream.JetStream
	subjects contract.Subjects
	storage  provision.Storage
	store    epochStore
	log      *slog.Logger
	back     func() // counts that the stream went back

	known    map[string][]record.Incarnation
	identity string // the main stream's, when last looked at; "" if it does not exist
	is       contract.Incarnation
	current  int64          // its epoch in the database
	newest   record.Message // the newest that is known to be there of it
	tried    time.Time      // when a new incarnation was tried to begin
	largest  atomic.Int32   // message that the main stream takes, when last looked at; 0 or less: no limit
}

type epochStore interface {
	Incarnations(ctx context.Context, identity string) ([]record.Incarnation, error)
	NoteIncarnation(ctx context.Context, identity string, i record.Incarnation) error
	Newest(ctx context.Context, epoch int64) (record.Message, error)
}

// set sets from which incarnation a message comes, and under which epochs it may have been stored. Sequences that a
// main stream had before it went back are told by the times of the copies.
func (e *epochs) set(ctx context.Context, m *record.Message, identity string) error {
	all, err := e.of(ctx, identity, m.Copied)
	if err != nil {
		return err
	}
	m.ID.Epoch, m.Epochs = epochIn(all, m.ID.Sequence, m.Copied), nil
	if len(all) == 1 {
		return nil
	}
	for _, i := range all {
		m.Epochs = append(m.Epochs, i.Epoch)
	}
	return nil
}

// epochIn is the epoch of a message among the incarnations of its main stream.
func epochIn(all []record.Incarnation, sequence int64, copied time.Time) int64 {
	epoch := all[0].Epoch
	for _, i := range all {
		if sequence >= i.First && copied.UnixMilli() >= i.Epoch {
			epoch = i.Epoch
		}
	}
	return epoch
}

// of are the incarnations of a main stream, one at least.
func (e *epochs) of(ctx context.Context, identity string, copied time.Time) ([]record.Incarnation, error) {
	if identity == "" {
		identity = e.identity
	}
	if all := e.known[identity]; len(all) > 0 {
		return all, nil
	}
	all, err := e.read(ctx, identity)
	if err != nil || len(all) > 0 {
		return all, err
	}
	if err := e.look(ctx, false); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, err
	}
	if all := e.known[identity]; len(all) > 0 {
		return all, nil
	}
	// It was deleted before anyone here looked at it. Its creation is not known any more; the first copy came after it
	// and before the creation of the next one, so ids stay in order.
	if all, err = e.note(ctx, identity, identity, record.Incarnation{Epoch: copied.UnixMilli(), First: 1}); err != nil {
		return nil, err
	}
	e.log.Warn("the main stream was deleted before its creation time was noted: ids of its messages differ in history from those heard live",
		"stream", e.subjects.Names().Stream, "incarnation", identity, "epoch", all[0].Epoch)
	return all, nil
}

// note notes an incarnation of the main stream under a name, and returns all of that.
func (e *epochs) note(ctx context.Context, identity, name string, i record.Incarnation) ([]record.Incarnation, error) {
	if err := e.store.NoteIncarnation(ctx, name, i); err != nil {
		return nil, err
	}
	return e.read(ctx, identity)
}

func (e *epochs) read(ctx context.Context, identity string) ([]record.Incarnation, error) {
	all, err := e.store.Incarnations(ctx, identity)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if e.known == nil {
		e.known = make(map[string][]record.Incarnation)
	}
	e.known[identity] = all
	return all, nil
}

// look notes the main stream's incarnation of today, and begins a new one if the stream went back. Looking closely asks the database
// for its newest message, and finds too that the stream has another under that sequence. The error may wrap [jetstream.ErrStreamNotFound].
func (e *epochs) look(ctx context.Context, closely bool) error {
	if closely && e.current != 0 {
		newest, err := e.store.Newest(ctx, e.current)
		if err != nil {
			return err
		}
		e.newest = newest
	}
	newest, name := e.newest, e.subjects.Names().Stream // before the stream is asked how far it is
	stream, err := e.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		e.identity, e.is, e.current, e.newest = "", contract.Incarnation{}, 0, record.Message{}
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	info := stream.CachedInfo()
	e.largest.Store(info.Config.MaxMsgSize)
	if err := e.follow(ctx, info); err != nil {
		return err
	}
	if newest.ID.Sequence == 0 || newest.ID.Epoch != e.current {
		return nil
	}
	back := uint64(newest.ID.Sequence) > info.State.LastSeq
	if !back && closely && newest.Exact {
		at, err := provision.StoredAt(ctx, e.js.Conn(), name, uint64(newest.ID.Sequence))
		if err != nil {
			return err
		}
		back = !at.IsZero() && !at.Equal(newest.Time)
	}
	if !back || time.Since(e.tried) < askMain {
		return nil
	}
	e.tried = time.Now()
	lost := provision.Seen{Sequence: uint64(newest.ID.Sequence)}
	if newest.Exact {
		lost.Stored = newest.Time
	}
	return e.begin(ctx, lost, newest.Time)
}

// follow notes the incarnation that the main stream says it has.
func (e *epochs) follow(ctx context.Context, info *jetstream.StreamInfo) error {
	identity, is := hash(info.Created), contract.IncarnationOf(info.Created, info.Config.Metadata)
	if identity == e.identity && is == e.is {
		return nil
	}
	all, err := e.note(ctx, identity, identity, record.Incarnation{Epoch: info.Created.UnixMilli(), First: 1})
	if err != nil {
		return err
	}
	current := all[0].Epoch
	if is.Epoch != contract.Epoch(info.Created) {
		epoch, err := strconv.ParseInt(is.Epoch, 36, 64)
		if err != nil {
			return err
		}
		if all, err = e.note(ctx, identity, identity+"/"+is.Epoch, record.Incarnation{Epoch: epoch, First: int64(is.First)}); err != nil {
			return err
		}
		current = epoch
	}
	switch {
	case e.identity == "":
	case e.identity != identity:
		e.log.Warn("the main stream was deleted and made again; ids begin with its new creation time", "stream", info.Config.Name, "epoch", is.Epoch)
	default:
		e.back()
		e.log.Warn("the main stream went back to what it was earlier: did nats-server lose power, or was a backup put back? "+
			"What comes is stored under ids with a new epoch", "stream", info.Config.Name, "epoch", is.Epoch, "from", is.First)
	}
	e.identity, e.is, e.current, e.newest, e.tried = identity, is, current, record.Message{}, time.Time{}
	return nil
}

// begin begins a new incarnation of the main stream if it went back, by which it has lost a message (zero: that is certain):
// after the time of one of the messages that it had.
func (e *epochs) begin(ctx context.Context, lost provision.Seen, after time.Time) error {
	if _, err := provision.Renew(ctx, e.js, e.subjects, e.is, lost, after, e.storage); err != nil {
		return fmt.Errorf("the main stream went back to what it was earlier, and cannot be told so: %w", err)
	}
	return e.look(ctx, false)
}

// renew makes room for a message whose sequence another one has in all incarnations of its stream that are known.
func (e *epochs) renew(ctx context.Context, p post) error {
	identity, known := p.identity, len(p.record.Epochs)
	if identity == "" {
		identity = e.identity
	}
	if identity == e.identity {
		newest, err := e.store.Newest(ctx, e.current)
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, renewWait)
		defer cancel()
		if err := e.begin(limited, provision.Seen{}, newest.Time); err != nil {
			return err
		}
		if len(e.known[identity]) > max(known, 1) {
			return nil
		}
		if identity == e.identity { // an id that nobody hears would have what is said later come before it
			return errors.New("the main stream went back to what it was earlier, and was told so in vain")
		}
	}
	// That stream is no more: the message is kept under an id that nobody hears.
	now := time.Now().UnixMilli()
	_, err := e.note(ctx, identity, identity+"/"+strconv.FormatInt(now, 36), record.Incarnation{Epoch: now, First: math.MaxInt64})
	e.back()
	e.log.Warn("the main stream had gone back before it was deleted: the ids of some messages differ in history from those heard live",
		"stream", e.subjects.Names().Stream, "incarnation", identity)
	return err
}

// stored notes what is in the database now.
func (e *epochs) stored(posts []post) {
	for _, p := range posts {
		if m := p.record; m.ID.Epoch == e.current && m.ID.Sequence > e.newest.ID.Sequence {
			e.newest = record.Message{ID: m.ID, Time: m.Time, Exact: m.Exact}
		}
	}
}

// renewWait bounds the attempt to tell the main stream that it went back: to less than the time there is to store a batch.
const renewWait = 4 * time.Second

// maxIdentity is far more than servers write.
const maxIdentity = 64

// identity is the incarnation that a copied message names: the sixth field of
// "<stream> <sequence> <filter> <transform> <subject> <identity>", or "". Several filters are separated by form feeds.
func identity(h contract.Header) string {
	fields := strings.Split(contract.Last(h, "Nats-Stream-Source"), " ")
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
