package record

import (
	"encoding/json"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// Announcement is what clients must be told of a change in history, or, without a namespace, what other services must:
// a fact between services.
type Announcement struct {
	Topic     string // one that comes later on the same topic takes its place
	Version   ID     // grows on the topic
	Namespace string // token
	Target    string // of the subject on which they hear it; such as "user.erased" for a fact
	Event     []byte // the event array; the JSON object of a fact
}

// Deletion is one of which the stream of facts tells.
type Deletion struct {
	ID   ID
	User string // who deleted the message, or ""
	Time time.Time
}

// Erasure is one that is not over.
type Erasure struct {
	User  string
	Until int64 // what the user said until then goes, in Unix nanoseconds
	Left  ID    // the oldest message that is still to go; the zero ID if none is, or it is not known
}

// skew is by how much clocks may differ.
const skew = time.Minute

// Of says whether the deletion may be the message's. Otherwise the id was given twice: the main stream has lost its end.
func (d Deletion) Of(m Message) bool { return !m.Time.After(d.Time.Add(skew)) }

// Change is the deletion as a change of the message.
func (d Deletion) Change(m Message) (c Change, is Message) {
	is = m
	is.Event, is.Attachments, is.Deleted = RedactEvent(m.Event), nil, d.Time
	return Change{ID: d.ID, By: By{User: d.User}, Action: Delete, Time: d.Time}, is
}

// Fact is the fact that the message was deleted. It has neither what was said nor a name, which may have to be erased.
func (d Deletion) Fact() (Announcement, error) {
	fact, err := json.Marshal(contract.MessageDeleted{ID: d.ID.String(), User: d.User, Time: d.Time})
	return Announcement{Topic: "fact:" + contract.FactMessageDeleted + ":" + d.ID.String(), Version: d.ID, Target: contract.FactMessageDeleted, Event: fact}, err
}

// ErasureFact is the fact that what the user said until then was erased.
func ErasureFact(user string, until time.Time) (Announcement, error) {
	fact, err := json.Marshal(contract.UserErased{User: user, Time: until})
	return Announcement{Topic: "fact:" + contract.FactUserErased + ":" + user, Version: ID{Epoch: until.UnixNano()}, Target: contract.FactUserErased, Event: fact}, err
}
