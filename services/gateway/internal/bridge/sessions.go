package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// sessions keeps what another gateway needs to go on with a socket, in a bucket under the socket's private id. Each
// write expects the revision of the one before it: a gateway that is no longer the holder learns it by its next write.
type sessions struct {
	bridge *Bridge
	bucket atomic.Pointer[jetstream.KeyValue]
	stores *replies
	claims chan *nats.Msg // other gateways took over sockets of ours

	looked atomic.Bool // it is known which ids of this gateway's another one has

	mu      sync.Mutex
	moved   map[string]time.Time // ids of this gateway's that another one has, until when that is remembered
	newest  map[string]newest    // claims that were heard of lately, by socket id
	beats   map[string]lastBeat  // when gateways that are gone were seen last
	since   uint64               // the revision with which this gateway's own writes begin
	earlier time.Time            // when a gateway with this one's id was seen before; zero: never
	unkept  []unkept             // ends of sockets that could not be stored
}

// newest is the claim that counts.
type newest struct {
	number int
	heard  time.Time
}

// lastBeat is a gateway's last sign of life, as it was at a moment.
type lastBeat struct {
	at, read time.Time
}

// unkept is a session to be stored as soon as that is possible.
type unkept struct {
	claim session.Claim
	record
}

// record is a session as it is stored.
type record struct {
	session.Saved
	Gateway string    `json:"gateway"` // that has it
	Claim   int       `json:"claim"`
	Left    time.Time `json:"left,omitzero"`  // since when the client is away, as far as its gateway knows
	Ended   bool      `json:"ended,omitzero"` // it may not come back
}

// claimed tells a gateway that another one has a socket of its.
type claimed struct {
	Namespace string `json:"namespace"`
	ID        string `json:"id"`
	Claim     int    `json:"claim"`
}

const (
	keepTimeout = 5 * time.Second
	keepMargin  = time.Minute // that a session is kept beyond the recovery window
	findTimeout = 3 * time.Second
	claimTries  = 5
	claimsFor   = time.Minute // that a claim is remembered, at least
	beatFor     = time.Second // that another gateway's sign of life is remembered
	maxUnkept   = 100_000
	burials     = 64 // writes for gateways that are gone, at a time
)

func newSessions(b *Bridge) *sessions {
	return &sessions{bridge: b, stores: newReplies(b.nc, b.opts), claims: make(chan *nats.Msg, b.opts.Queue), moved: make(map[string]time.Time), newest: make(map[string]newest), beats: make(map[string]lastBeat)}
}

func (s *sessions) open(kv jetstream.KeyValue) { s.bucket.Store(&kv) }

// key is where a session is stored; false for what cannot be a private id.
func key(pid string) (string, bool) {
	if len(pid) != session.PrivateIDLength || strings.ContainsFunc(pid, func(r rune) bool {
		return r > 'z' || !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", r)
	}) {
		return "", false
	}
	return "session." + pid, true
}

// beatKey is what a gateway renews as long as it lives, and what tells afterwards when it was seen last.
func beatKey(gateway string) string { return "gateway." + gateway }

// read gets a session; nil if there is none.
func (s *sessions) read(ctx context.Context, pid string) (*record, uint64, error) {
	k, ok := key(pid)
	kv := s.bucket.Load()
	if !ok || kv == nil {
		return nil, 0, nil
	}
	entry, err := (*kv).Get(ctx, k)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var r record
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return nil, 0, fmt.Errorf("session: %w", err)
	}
	return &r, entry.Revision(), nil
}

// write stores a session, expecting a revision.
func (s *sessions) write(pid string, r record, revision uint64, done func(uint64, error)) {
	k, ok := key(pid)
	kv := s.bucket.Load()
	if !ok || kv == nil {
		done(0, errNotReady)
		return
	}
	data, err := json.Marshal(r)
	if err != nil {
		done(0, err)
		return
	}
	msg := &nats.Msg{Subject: "$KV." + (*kv).Bucket() + "." + k, Data: data, Header: nats.Header{
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)},
	}}
	if r.Ended || !r.Left.IsZero() {
		keep := s.bridge.opts.Window + keepMargin
		if r.Ended {
			keep = keepMargin // long enough that no write under way comes after
		}
		msg.Header.Set(jetstream.MsgTTLHeader, strconv.Itoa(int(keep/time.Second))+"s")
	}
	stream := "KV_" + (*kv).Bucket()
	err = s.stores.request(msg, keepTimeout, func(reply *nats.Msg, err error) {
		if err != nil {
			done(0, fmt.Errorf("%w: %w", session.ErrUnavailable, err))
			return
		}
		done(written(stream, reply))
	})
	if errors.Is(err, nats.ErrMaxPayload) {
		err = fmt.Errorf("%w: %w", session.ErrUnstorable, err)
	}
	if err != nil {
		done(0, err)
	}
}

// written reads the answer to a write.
func written(stream string, reply *nats.Msg) (revision uint64, err error) {
	var ack struct {
		Stream   string              `json:"stream"`
		Sequence uint64              `json:"seq"`
		Error    *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return 0, fmt.Errorf("acknowledgement %q: %w", reply.Data, err)
	}
	switch {
	case ack.Error != nil && (ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return 0, session.ErrClaimed
	case ack.Error != nil:
		return 0, ack.Error
	case ack.Stream != stream:
		return 0, fmt.Errorf("not an acknowledgement of the stream %s: %.80q", stream, reply.Data)
	}
	return ack.Sequence, nil
}

// writeNow is write, waiting.
func (s *sessions) writeNow(ctx context.Context, pid string, r record, revision uint64) (uint64, error) {
	type result struct {
		revision uint64
		err      error
	}
	done := make(chan result, 1)
	s.write(pid, r, revision, func(revision uint64, err error) { done <- result{revision, err} })
	select {
	case r := <-done:
		return r.revision, r.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// Keep stores a session. A write whose acknowledgement was lost makes the next one fail; then what is stored tells
// whose the session is.
func (b *Bridge) Keep(c session.Claim, saved session.Saved, fate session.Fate, done func(uint64, error)) {
	if fate == session.Ended { // nobody goes on with it, and the rest may be what is too large
		saved = session.Saved{ID: saved.ID, Namespace: saved.Namespace, Epoch: saved.Epoch}
	}
	r := record{Saved: saved, Gateway: b.opts.Gateway, Claim: c.Number, Ended: fate == session.Ended}
	if fate == session.Left {
		r.Left = time.Now().UTC()
	}
	b.keepRecord(c, r, func(revision uint64, err error) {
		if err != nil && fate != session.Here && !errors.Is(err, session.ErrClaimed) && !errors.Is(err, session.ErrUnstorable) {
			b.sessions.keepLater(c, r)
		}
		done(revision, err)
	})
}

func (b *Bridge) keepRecord(c session.Claim, r record, done func(uint64, error)) {
	b.sessions.write(c.PID, r, c.Revision, func(revision uint64, err error) {
		if !errors.Is(err, session.ErrClaimed) {
			done(revision, err)
			return
		}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
			defer cancel()
			done(b.keepAgain(ctx, c, r))
		}()
	})
}

func (b *Bridge) keepAgain(ctx context.Context, c session.Claim, r record) (uint64, error) {
	for range claimTries {
		now, revision, err := b.sessions.read(ctx, c.PID)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
		if now != nil && (now.Gateway != r.Gateway || now.Claim != r.Claim) {
			return 0, session.ErrClaimed
		}
		if now != nil && !now.Left.IsZero() && r.Left.IsZero() && !r.Ended { // this gateway was taken for gone: see outlived
			return 0, session.ErrClaimed
		}
		if now == nil {
			revision = 0
		}
		if revision, err = b.sessions.writeNow(ctx, c.PID, r, revision); !errors.Is(err, session.ErrClaimed) {
			return revision, err
		}
	}
	return 0, fmt.Errorf("%w: the session's bucket contradicts itself", session.ErrUnavailable)
}

// FindSession looks for a session that may go on. A stock client has no offset if and only if it has heard nothing since it
// connected for the first time: every event moves it that wants no ack and came after the answer to CONNECT.
func (b *Bridge) FindSession(ctx context.Context, namespace, pid, offset string) (*session.Found, error) {
	var epoch string
	var sequence uint64
	if offset != "" {
		var err error
		if epoch, sequence, err = contract.SplitMessageID(offset); err != nil {
			return nil, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	current := b.epoch.wait(ctx)
	if current == "" || current != b.Epoch() { // nobody can go on before the reader of live messages has heard of it
		return nil, errNotReady
	}
	r, revision, err := b.sessions.read(ctx, pid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	if r == nil || r.Ended || r.Namespace != namespace || r.Epoch != current || offset != "" && epoch != current {
		return nil, nil
	}
	away, err := b.away(ctx, r, revision)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	if away > b.opts.Window {
		return nil, nil
	}
	return &session.Found{
		Saved:  r.Saved,
		Claim:  session.Claim{PID: pid, Number: r.Claim, Revision: revision},
		Offset: sequence, Holder: r.Gateway, Left: !r.Left.IsZero(),
	}, nil
}

// away is for how long the client has been away: since its gateway said so, or was seen last.
func (b *Bridge) away(ctx context.Context, r *record, revision uint64) (time.Duration, error) {
	switch {
	case !r.Left.IsZero():
		return time.Since(r.Left), nil
	case b.sessions.stale(r, revision):
		return time.Since(b.sessions.seenEarlier()), nil
	case r.Gateway == b.opts.Gateway, b.gateways.alive(r.Gateway):
		return 0, nil
	}
	beat, err := b.sessions.lastBeat(ctx, r.Gateway)
	return time.Since(beat), err
}

// ClaimSession takes a session over. Who comes later takes it from who came before, also if both found it at the same time:
// a client whose connection broke while it was coming back may come again before a gateway has noticed. It goes on when ctx
// ends: a claim of which nobody knows whether it was stored would keep the session from ending.
func (b *Bridge) ClaimSession(ctx context.Context, f *session.Found) (session.Claim, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), findTimeout)
	defer cancel()
	revision, number := f.Revision, f.Number
	for range claimTries {
		r := record{Saved: f.Saved, Gateway: b.opts.Gateway, Claim: number + 1}
		claim, err := b.sessions.writeNow(ctx, f.PID, r, revision)
		if err == nil {
			b.took(f, number+1)
			return session.Claim{PID: f.PID, Number: number + 1, Revision: claim}, nil
		}
		if !errors.Is(err, session.ErrClaimed) {
			r.Left = time.Now().UTC() // if it was stored all the same
			b.sessions.keepLater(session.Claim{PID: f.PID, Number: number + 1}, r)
			return session.Claim{}, err
		}
		// Its holder may have written since; or the copy that was read was old.
		now, at, err := b.sessions.read(ctx, f.PID)
		if err != nil {
			return session.Claim{}, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
		if now == nil || now.Ended {
			return session.Claim{}, session.ErrClaimed
		}
		f.Saved, f.Holder, f.Left, number, revision = now.Saved, now.Gateway, !now.Left.IsZero(), now.Claim, at
	}
	return session.Claim{}, fmt.Errorf("%w: the session changes all the time", session.ErrUnavailable)
}

// took tells the gateway that had the session, and services for it if nobody did.
func (b *Bridge) took(f *session.Found, number int) {
	if !f.Left {
		b.tellGone(f.Saved, "transport close")
	}
	b.sessions.note(f.ID, number)
	b.sessions.close(f.Namespace, f.ID, number)
	notice, err := json.Marshal(claimed{Namespace: f.Namespace, ID: f.ID, Claim: number})
	if err != nil {
		return
	}
	owner, _, _ := strings.Cut(f.ID, ".")
	for _, gateway := range []string{f.Holder, owner} {
		if subject, err := b.opts.Subjects.Claim(gateway, b.opts.Gateway); err == nil && b.nc.Publish(subject, notice) != nil {
			return // it learns of it by its next write
		}
		if owner == f.Holder {
			return
		}
	}
}

// tellGone tells services of the end of a socket whose gateway cannot.
func (b *Bridge) tellGone(saved session.Saved, reason string) {
	rooms := make([]string, 0, len(saved.Rooms))
	for room := range saved.Rooms {
		rooms = append(rooms, room)
	}
	for _, args := range [][]any{{contract.EventDisconnecting, reason, rooms}, {contract.EventDisconnect, reason}} {
		subject, err := b.opts.Subjects.On(saved.Namespace, args[0].(string), saved.ID)
		if err != nil {
			return
		}
		array, err := json.Marshal(args)
		if err != nil {
			return
		}
		msg := &nats.Msg{Subject: subject, Data: array, Header: nats.Header{contract.HeaderSocket: {saved.ID}}}
		if saved.User != "" {
			msg.Header.Set(contract.HeaderUser, saved.User)
		}
		if saved.Name != "" {
			msg.Header.Set(contract.HeaderName, saved.Name)
		}
		b.signPattern(msg, saved.Namespace)
		header, value := contract.FormatData(saved.Data)
		b.attachData(msg, header, value)
		if err := b.nc.PublishMsg(msg); err != nil {
			b.opts.Log.Warn("services were not told of a socket's end", "socket", saved.ID, "error", err)
		}
	}
}

// claimed closes the connection of a socket that another gateway has now.
func (s *sessions) claimed(msg *nats.Msg) {
	var c claimed
	if json.Unmarshal(msg.Data, &c) != nil {
		return
	}
	if owner, _, _ := strings.Cut(c.ID, "."); owner == s.bridge.opts.Gateway && !strings.HasSuffix(msg.Subject, "."+s.bridge.opts.Gateway) {
		s.remember(c.ID)
	}
	s.note(c.ID, c.Claim)
	s.close(c.Namespace, c.ID, c.Claim)
}

// note remembers a claim, which may come while the socket of an earlier one is still on its way into the hub.
func (s *sessions) note(id string, claim int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if claim >= s.newest[id].number {
		s.newest[id] = newest{claim, time.Now()}
	}
}

// superseded says whether there was a later claim to a socket.
func (s *sessions) superseded(id string, claim int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest[id].number > claim
}

// close closes connections of a socket that were there before a claim.
func (s *sessions) close(namespace, id string, claim int) {
	for _, socket := range s.bridge.hub.Select(hub.Selection{Namespace: namespace, Rooms: []string{id}}) {
		if n := socket.Claimed(); n > 0 && n < claim {
			socket.MovedOn()
		}
	}
}

// remember notes that an id of this gateway's is another one's socket, so that this one does not answer for it.
func (s *sessions) remember(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved[id] = time.Now().Add(24 * time.Hour)
}

// elsewhere says whether another gateway has the socket with an id of this one's, or may have it.
func (s *sessions) elsewhere(id string) bool {
	if s.bridge.opts.Recovery && !s.looked.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.moved[id]
	return ok
}

func (s *sessions) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.moved, func(_ string, until time.Time) bool { return now.After(until) })
	maps.DeleteFunc(s.newest, func(_ string, n newest) bool { return now.Sub(n.heard) > claimsFor })
	maps.DeleteFunc(s.beats, func(_ string, b lastBeat) bool { return now.Sub(b.read) > beatFor })
}
