package record

import (
	"cmp"
	"fmt"
	"math"
	"strconv"

	"github.com/natter-io/natter/pkg/contract"
)

// ID is a message's id as two integers, so that databases order messages as they were said: by the main
// stream's creation, then by the sequence in it.
type ID struct {
	Epoch    int64 // creation of the main stream, Unix milliseconds
	Sequence int64 // in the main stream, from 1
}

// Incarnation is one life of the main stream, within which no sequence repeats: since it was made, or since it went back.
type Incarnation struct {
	Epoch int64 // when it began, Unix milliseconds
	First int64 // its first sequence
}

// Newest is beyond every id.
var Newest = ID{math.MaxInt64, math.MaxInt64}

// String is the id as clients know it: see [contract.MessageID].
func (id ID) String() string {
	return contract.MessageID(strconv.FormatInt(id.Epoch, 36), uint64(id.Sequence))
}

// Compare orders ids as messages were said.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Epoch, other.Epoch), cmp.Compare(id.Sequence, other.Sequence))
}

// Next is the first id that is newer.
func (id ID) Next() ID {
	if id.Sequence == math.MaxInt64 {
		return ID{id.Epoch + min(1, math.MaxInt64-id.Epoch), 0}
	}
	return ID{id.Epoch, id.Sequence + 1}
}

// Previous is the last id that is older, for ids of messages: their sequences begin with 1.
func (id ID) Previous() ID { return ID{id.Epoch, max(id.Sequence, 1) - 1} }

// ParseID reads an id. A message of that id need not exist.
func ParseID(s string) (ID, error) {
	stream, sequence, err := contract.SplitMessageID(s)
	if err != nil {
		return ID{}, err
	}
	epoch, err := strconv.ParseInt(stream, 36, 64)
	if err != nil || sequence > math.MaxInt64 {
		return ID{}, fmt.Errorf("message id %.80q: want <stream creation>-<sequence>", s)
	}
	return ID{Epoch: epoch, Sequence: int64(sequence)}, nil
}
