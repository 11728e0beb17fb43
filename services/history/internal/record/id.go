package record

import (
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

// Newest is beyond every id.
var Newest = ID{math.MaxInt64, math.MaxInt64}

// String is the id as clients know it: see [contract.MessageID].
func (id ID) String() string {
	return contract.MessageID(strconv.FormatInt(id.Epoch, 36), uint64(id.Sequence))
}

// After says whether id is newer than other.
func (id ID) After(other ID) bool {
	return id.Epoch > other.Epoch || id.Epoch == other.Epoch && id.Sequence > other.Sequence
}

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
