package contract

import "encoding/json"

// HistoryRequest asks natter.history.page for a page of what was posted to a room, or to every socket of
// the namespace if Room is nil.
type HistoryRequest struct {
	Namespace string  `json:"namespace"`
	Room      *string `json:"room"`
	Before    string  `json:"before,omitempty"` // a message's id: older ones than that; "": the newest
	Limit     int     `json:"limit,omitempty"`  // 1 to MaxHistoryPage; 0: DefaultHistoryPage
}

// Limits of [HistoryRequest.Limit].
const (
	DefaultHistoryPage = 50
	MaxHistoryPage     = 200
)

// HistoryPage is the answer, messages in the order in which they were said.
type HistoryPage struct {
	OK       bool             `json:"ok"` // true; a refusal is a [Refusal]
	Messages []HistoryMessage `json:"messages"`
	More     bool             `json:"more"` // whether there are older ones
}

// HistoryMessage is one posted message.
type HistoryMessage struct {
	Event       json.RawMessage `json:"event"`                 // the event array as it was posted; the name alone when redacted
	Attachments [][]byte        `json:"attachments,omitempty"` // base64 in JSON
	Stamp       Stamp           `json:"stamp"`                 // as clients heard it live
	Redacted    bool            `json:"redacted,omitempty"`    // what was said is gone, its sender's account was deleted
}

// EventRedacted is said to every socket of a namespace when a deleted user's messages are redacted:
// ["redacted", {"user": id}].
const EventRedacted = "redacted"
