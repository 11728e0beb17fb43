package contract

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Names are the names of a deployment's streams, buckets and durable consumers.
type Names struct {
	Stream        string // emit, post and do: the truth behind live delivery
	Posts         string // posts, sourced from Stream, kept long: the history service's queue
	Events        string // facts between services
	Namespaces    string // KV: namespace token → [Namespace]
	Gateways      string // KV: gateway id → lease
	Sessions      string // KV, the gateways' alone: private id of a socket → what another gateway needs to go on with it
	Accounts      string // KV, the auth service's alone: accounts
	AuthKeys      string // KV, the auth service's alone: signing keys
	HistoryPosts  string // durable consumer of Posts
	HistoryEvents string // durable consumer of Events
}

// Names derives the names from the prefix: NATTER, NATTER_POSTS, …
func (s Subjects) Names() Names {
	p := strings.ToUpper(s.Prefix())
	return Names{
		Stream:        p,
		Posts:         p + "_POSTS",
		Events:        p + "_EVENTS",
		Namespaces:    p + "_NAMESPACES",
		Gateways:      p + "_GATEWAYS",
		Sessions:      p + "_SESSIONS",
		Accounts:      p + "_ACCOUNTS",
		AuthKeys:      p + "_AUTH_KEYS",
		HistoryPosts:  "history",
		HistoryEvents: "history-facts",
	}
}

// Headers that JetStream sets; read them with [Last].
const (
	natsSubject      = "Nats-Subject"
	natsSequence     = "Nats-Sequence"
	natsLastSequence = "Nats-Last-Sequence"
	natsTimeStamp    = "Nats-Time-Stamp"
	natsStreamSource = "Nats-Stream-Source"
)

// MessageID is the id of a stored message: "<stream creation>-<sequence>". It is the same in the stamp, in
// history and in the offset of connection state recovery, and does not collide with the ids of a stream
// that was deleted and made again.
func MessageID(epoch string, sequence uint64) string {
	return epoch + "-" + strconv.FormatUint(sequence, 10)
}

// Epoch is the first part of a [MessageID]: the stream's creation time in milliseconds, in base 36; or, of a stream that
// went back, the time of that. See [IncarnationOf].
func Epoch(created time.Time) string { return strconv.FormatInt(created.UnixMilli(), 36) }

// Metadata of the main stream that went back: to what it was earlier, when nats-server lost power or a backup was put back.
// Its sequences repeat then, while its creation time is the same.
const (
	MetadataEpoch = "natter.epoch"       // what [MessageID] begins with from then on
	MetadataFirst = "natter.epoch.first" // from this sequence on
)

// Incarnation is one life of the main stream, within which no sequence repeats.
type Incarnation struct {
	Epoch string // the first part of a [MessageID]
	First uint64 // its first sequence
}

// IncarnationOf is the present one of a main stream, by its creation time and its metadata.
func IncarnationOf(created time.Time, metadata map[string]string) Incarnation {
	first, err := strconv.ParseUint(metadata[MetadataFirst], 10, 64)
	if ms, e := strconv.ParseInt(metadata[MetadataEpoch], 36, 64); err != nil || e != nil || ms <= created.UnixMilli() {
		return Incarnation{Epoch(created), 1}
	}
	return Incarnation{metadata[MetadataEpoch], max(first, 1)}
}

// SplitMessageID takes a [MessageID] apart.
func SplitMessageID(id string) (epoch string, sequence uint64, err error) {
	epoch, digits, ok := strings.Cut(id, "-")
	if ok && epoch != "" && allPlain(epoch) {
		if sequence, err = strconv.ParseUint(digits, 10, 64); err == nil {
			return epoch, sequence, nil
		}
	}
	return "", 0, fmt.Errorf("message id %s: want <stream creation>-<sequence>", clip(id))
}

// Stored is what JetStream's republish says of a message on [Live].
type Stored struct {
	Subject  string // the subject it was published on: its kind stands there
	Sequence uint64
	Last     uint64 // sequence of the message before it on the same subject; 0 if none is kept
	Time     time.Time
}

// ErrNotRepublished says that a message on [Live] does not come from JetStream's republish.
var ErrNotRepublished = errors.New("not republished by JetStream")

// ParseStored reads the headers of a republished message.
func ParseStored(h Header) (Stored, error) {
	s := Stored{Subject: Last(h, natsSubject)}
	var err error
	if s.Sequence, err = strconv.ParseUint(Last(h, natsSequence), 10, 64); err != nil || s.Subject == "" || s.Sequence == 0 {
		return Stored{}, fmt.Errorf("%w: %s %s, %s %s", ErrNotRepublished, natsSubject, clip(s.Subject), natsSequence, clip(Last(h, natsSequence)))
	}
	s.Last, _ = strconv.ParseUint(Last(h, natsLastSequence), 10, 64)
	s.Time, _ = time.Parse(time.RFC3339Nano, Last(h, natsTimeStamp))
	return s, nil
}

// SourceSequence is the sequence that a message of the posts stream has in the main stream, from the
// header that JetStream sets on sourced messages.
func SourceSequence(h Header) (stream string, sequence uint64, err error) {
	value := Last(h, natsStreamSource)
	fields := strings.Fields(value)
	if len(fields) >= 2 {
		if sequence, err = strconv.ParseUint(fields[1], 10, 64); err == nil {
			stream, _, _ = strings.Cut(fields[0], ":")
			return stream, sequence, nil
		}
	}
	return "", 0, fmt.Errorf("%w: %s: %s", ErrBadHeader, natsStreamSource, clip(value))
}
