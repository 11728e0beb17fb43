package contract

import (
	"encoding/json"
	"time"
)

// Endpoints of the history service: natter.history.<endpoint>.
const (
	HistoryPages  = "page"   // [HistoryRequest] → [HistoryPage]
	HistorySearch = "search" // [SearchRequest] → [HistoryPage]
	HistoryEdit   = "edit"   // [ChangeRequest] → [Done]
	HistoryDelete = "delete" // [ChangeRequest] → [Done]
	HistoryTrail  = "trail"  // [TrailRequest] → [TrailReply]
	HistoryRead   = "read"   // [ReadRequest] → [Done]
	HistoryUnread = "unread" // [UnreadRequest] → [UnreadReply]
	HistoryExport = "export" // [ExportRequest] → [ExportReply]
	HistoryErase  = "erase"  // [EraseRequest] → [EraseReply]
	HistoryStats  = "stats"  // empty → [StatsReply]
)

// ChangeWait is how long the history service takes for an edit or a deletion at most, from when it hears of it. Then it
// refuses it as unavailable, and does not make it later either.
const ChangeWait = 5 * time.Second

// HistoryRequest asks for a page of what was posted to a room, or to every socket of the namespace if Room is nil.
// At most one of Before, After and Around is set: ids of messages, which need not exist. Without one the newest come.
type HistoryRequest struct {
	Namespace string  `json:"namespace"`
	Room      *string `json:"room"`
	Before    string  `json:"before,omitempty"` // the newest of the older ones
	After     string  `json:"after,omitempty"`  // the oldest of the newer ones
	Around    string  `json:"around,omitempty"` // the message itself, and as many on both sides
	Limit     int     `json:"limit,omitempty"`  // 1 to MaxHistoryPage; 0: DefaultHistoryPage
}

// Limits of [HistoryRequest.Limit] and of other lists.
const (
	DefaultHistoryPage = 50
	MaxHistoryPage     = 200
	MaxHistoryRooms    = 4096 // rooms of one request
	MaxUnread          = 1000 // what is counted of a room
	MaxUnreadLook      = 5000 // messages of a room that are looked at for it, the newest
)

// HistoryPage is the answer, messages in the order in which they were said.
type HistoryPage struct {
	OK       bool             `json:"ok"` // true; a refusal is a [Refusal]
	Messages []HistoryMessage `json:"messages"`
	More     bool             `json:"more"`            // whether there are older ones
	Newer    *bool            `json:"newer,omitempty"` // with after and around: whether there are newer ones
}

// HistoryMessage is one posted message.
type HistoryMessage struct {
	Event       json.RawMessage `json:"event,omitempty"`       // the event array as it was posted, or last edited; the name alone when redacted, deleted or omitted; missing where an export only goes on with the trail
	Attachments [][]byte        `json:"attachments,omitempty"` // base64 in JSON
	Stamp       Stamp           `json:"stamp"`                 // as clients heard it live
	Namespace   string          `json:"namespace,omitempty"`   // in an export
	Rooms       []*string       `json:"rooms,omitempty"`       // in a search or an export: where it was said; null for all
	Redacted    bool            `json:"redacted,omitempty"`    // what was said is gone, its sender's words were erased
	Omitted     bool            `json:"omitted,omitempty"`     // what was said does not fit a page: it is larger than a NATS message may be, or nested deeper than clients take
	Edited      time.Time       `json:"edited,omitzero"`       // when it was last edited
	Deleted     time.Time       `json:"deleted,omitzero"`      // when it was deleted
	Trail       []HistoryChange `json:"trail,omitempty"`       // in an export
}

// HistoryChange is one change in the trail of a message.
type HistoryChange struct {
	Action string          `json:"action"` // edit or delete
	User   string          `json:"user,omitempty"`
	Name   string          `json:"name,omitempty"`
	Socket string          `json:"socket,omitempty"`
	Time   time.Time       `json:"time"`
	Event  json.RawMessage `json:"event,omitempty"` // before the change; missing if it is larger than a NATS message may be
}

// SearchRequest asks for messages that have all words of Text, newest pages first. A word that ends with * stands for
// all that begin so.
type SearchRequest struct {
	Namespace string    `json:"namespace"`
	Rooms     []*string `json:"rooms,omitempty"` // where to look, null for what was said to all; the whole namespace without it
	Text      string    `json:"text"`
	Before    string    `json:"before,omitempty"`
	Limit     int       `json:"limit,omitempty"`
}

// ChangeRequest edits or deletes a message. Who wants it is User, if verified, or else Socket.
type ChangeRequest struct {
	Namespace string          `json:"namespace"`
	Room      *string         `json:"room"`
	ID        string          `json:"id"`
	Value     json.RawMessage `json:"value,omitempty"` // edit: the event's new last argument
	User      string          `json:"user,omitempty"`
	Socket    string          `json:"socket,omitempty"`
	Name      string          `json:"name,omitempty"`
	Admin     bool            `json:"admin,omitempty"` // may change what others said
}

// HistoryChanged is what clients hear of a change, as the argument of [EventEdited] or [EventDeleted].
type HistoryChanged struct {
	ID    string          `json:"id"`
	Room  *string         `json:"room"` // null for what was said to all
	User  string          `json:"user,omitempty"`
	Name  string          `json:"name,omitempty"` // of who changed it
	Time  time.Time       `json:"time"`
	Event json.RawMessage `json:"event,omitempty"` // what it is now
}

// TrailRequest asks what a message was before it was changed.
type TrailRequest struct {
	Namespace string  `json:"namespace"`
	Room      *string `json:"room"`
	ID        string  `json:"id"`
	After     string  `json:"after,omitempty"` // Next of the reply before
}

// TrailReply has the changes, oldest first.
type TrailReply struct {
	OK      bool            `json:"ok"`
	Changes []HistoryChange `json:"changes"`
	Next    string          `json:"next,omitempty"` // there are more: ask for those after it
}

// ReadRequest says that a user has read a room up to a message.
type ReadRequest struct {
	Namespace string  `json:"namespace"`
	Room      *string `json:"room"`
	User      string  `json:"user"`
	ID        string  `json:"id"`
}

// UnreadRequest asks what a user has not read.
type UnreadRequest struct {
	Namespace string    `json:"namespace"`
	Rooms     []*string `json:"rooms"`
	User      string    `json:"user"`
}

// UnreadReply counts, in the order of the rooms asked for, each once.
type UnreadReply struct {
	OK    bool     `json:"ok"`
	Rooms []Unread `json:"rooms"`
}

// Unread is what others said in a room since the user's mark.
type Unread struct {
	Room   *string `json:"room"`
	Unread int     `json:"unread"`         // [MaxUnread] if it is that or more
	Read   string  `json:"read,omitempty"` // the mark: id of the newest message read
}

// ExportRequest asks for what a user said, oldest first.
type ExportRequest struct {
	User  string `json:"user"`
	After string `json:"after,omitempty"` // Next of the page before, or the id of a message
	Limit int    `json:"limit,omitempty"`
}

// ExportReply is a page of it. The user's marks come behind the messages, and
// behind these what the user did to messages of others. A message whose trail does not fit is on the next
// page, too, with the rest of the trail and without its event.
type ExportReply struct {
	OK       bool             `json:"ok"`
	Messages []HistoryMessage `json:"messages"`
	More     bool             `json:"more"`
	Next     string           `json:"next,omitempty"` // where the next page begins, if there are more
	Reads    []ExportMark     `json:"reads,omitempty"`
	Changes  []ExportChange   `json:"changes,omitempty"`
	Omitted  []string         `json:"omitted,omitempty"` // ids of messages that, or a change of which, exceed a NATS message
}

// ExportMark says how far a user has read a room.
type ExportMark struct {
	Namespace string  `json:"namespace"`
	Room      *string `json:"room"`
	Read      string  `json:"read"`
}

// ExportChange says what a user did to a message that somebody else had said.
type ExportChange struct {
	Namespace string    `json:"namespace"`
	ID        string    `json:"id"`
	Action    string    `json:"action"` // "edit" or "delete"
	Name      string    `json:"name,omitempty"`
	Socket    string    `json:"socket,omitempty"`
	Time      time.Time `json:"time"`
}

// EraseRequest takes out what a user has said until now.
type EraseRequest struct {
	User string `json:"user"`
}

// EraseReply says how many messages that were. A user is known if history has anything of them, erased or not: a message,
// a change of one, or a mark. One who is not may be a slip of the pen.
type EraseReply struct {
	OK     bool `json:"ok"`
	Erased int  `json:"erased"`
	Known  bool `json:"known"`
}

// Done is the answer to what needs no other.
type Done struct {
	OK bool `json:"ok"`
}

// StatsReply says how history is.
type StatsReply struct {
	OK       bool   `json:"ok"`
	Database string `json:"database"` // sqlite or postgres
	Reached  bool   `json:"reached"`  // whether the database answers
	Lag      int64  `json:"lag"`      // posts that wait to be stored; -1 if that is not known
	Problem  string `json:"problem,omitempty"`
}

// RoleAdmin is the role, granted by a middleware, of those who may change what others said.
const RoleAdmin = "admin"

// Redacted says that what a user said was taken out: until a time, or all of it if that is zero.
type Redacted struct {
	User  string    `json:"user"`
	Until time.Time `json:"until,omitzero"`
}

// What clients hear of changes in history.
const (
	// EventRedacted is said to every socket of a namespace when a user's messages are redacted: ["redacted", Redacted].
	EventRedacted = "redacted"
	// EventEdited and EventDeleted are said where the message was: ["message edited", HistoryChanged].
	EventEdited  = "message edited"
	EventDeleted = "message deleted"
	// EventRead is said to the devices of a user: ["read", {"room", "id"}].
	EventRead = "read"
)
