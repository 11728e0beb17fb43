package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Deletion is an entry in the log of deletions.
type Deletion struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	By    string    `json:"by"` // id of who ordered it
	Admin bool      `json:"admin"`
	Begun time.Time `json:"begun"`
}

// keyDeletions holds the log: one value, so that its compare-and-set puts the deletions in a row. That is what
// keeps two admins from deleting each other at the same moment.
const keyDeletions = "deletions"

// maxDeletions bounds the log; each entry leaves it some time after its deletion is done.
const maxDeletions = 1000

// BeginDelete writes into the log that the user is to be deleted. From then on the deletion takes place even
// if this instance ends: whoever reads the log continues it. To delete one twice is no error and returns the
// first entry.
//
// It fails with [ErrNotFound], [ErrLastAdmin] or [ErrBusy].
func (s *Store) BeginDelete(ctx context.Context, id, by string) (Deletion, error) {
	for range maxAttempts {
		log, revision, err := s.Deletions(ctx)
		if err != nil {
			return Deletion{}, err
		}
		if i := slices.IndexFunc(log, func(d Deletion) bool { return d.ID == id }); i >= 0 {
			return log[i], nil
		}
		all, err := s.List(ctx)
		if err != nil {
			return Deletion{}, err
		}
		i := slices.IndexFunc(all, func(a Account) bool { return a.ID == id })
		if i < 0 {
			return Deletion{}, ErrNotFound
		}
		if all[i].Admin() && !slices.ContainsFunc(all, func(a Account) bool { return a.Admin() && a.ID != id && !logged(log, a.ID) }) {
			return Deletion{}, ErrLastAdmin
		}
		if len(log) >= maxDeletions {
			return Deletion{}, ErrBusy
		}
		d := Deletion{ID: id, Name: all[i].Name, By: by, Admin: all[i].Admin(), Begun: s.now().UTC().Truncate(time.Millisecond)}
		err = s.writeLog(ctx, append(log, d), revision)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, ErrBusy) {
			return Deletion{}, err
		}
	}
	return Deletion{}, ErrBusy
}

func logged(log []Deletion, id string) bool {
	return slices.ContainsFunc(log, func(d Deletion) bool { return d.ID == id })
}

// Remove takes away the account of a deletion in the log. It may be called again.
func (s *Store) Remove(ctx context.Context, d Deletion) error { return s.remove(ctx, d.ID, d.Name) }

// EndDelete takes the deletion out of the log. It may be called again.
func (s *Store) EndDelete(ctx context.Context, id string) error {
	for range maxAttempts {
		log, revision, err := s.Deletions(ctx)
		if err != nil {
			return err
		}
		if !logged(log, id) {
			return nil
		}
		err = s.writeLog(ctx, slices.DeleteFunc(log, func(d Deletion) bool { return d.ID == id }), revision)
		if !errors.Is(err, ErrBusy) {
			return err
		}
	}
	return ErrBusy
}

// Deletions reads the log and its revision, 0 if there is none yet.
func (s *Store) Deletions(ctx context.Context) ([]Deletion, uint64, error) {
	entry, err := s.kv.Get(ctx, keyDeletions)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the log of deletions: %w", err)
	}
	var log []Deletion
	if err := json.Unmarshal(entry.Value(), &log); err != nil {
		return nil, 0, fmt.Errorf("the log of deletions cannot be read: %w", err)
	}
	return log, entry.Revision(), nil
}

// writeLog fails with [ErrBusy] when the log was changed since the revision.
func (s *Store) writeLog(ctx context.Context, log []Deletion, revision uint64) error {
	value, err := json.Marshal(log)
	if err != nil {
		return fmt.Errorf("writing the log of deletions: %w", err)
	}
	_, err = s.kv.Update(ctx, keyDeletions, value, revision) // revision 0: must not exist
	if isConflict(err) {
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("writing the log of deletions: %w", err)
	}
	return nil
}
