package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/natter-io/natter/services/history/internal/record"
)

// Incarnations are those noted of a main stream, in their order. The first one has the stream's identity, by which JetStream
// tells it from one that was made anew; those since it went back have more after a slash.
func (s *Store) Incarnations(ctx context.Context, identity string) (all []record.Incarnation, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	found, err := s.read.QueryContext(ctx, s.sql(`SELECT epoch, first FROM incarnations WHERE identity = ? OR substr(identity, 1, ?) = ? ORDER BY epoch`),
		identity, len(identity)+1, identity+"/")
	if err != nil {
		return nil, fmt.Errorf("look up an incarnation: %w", err)
	}
	for found.Next() {
		var i record.Incarnation
		if err = found.Scan(&i.Epoch, &i.First); err != nil {
			break
		}
		all = append(all, i)
	}
	if err := errors.Join(err, found.Err(), found.Close()); err != nil {
		return nil, fmt.Errorf("look up an incarnation: %w", err)
	}
	return all, nil
}

// NoteIncarnation notes one. If another has its epoch it gets the next free one, since messages of two must not share a key. One that was noted
// before stays as it is.
func (s *Store) NoteIncarnation(ctx context.Context, identity string, i record.Incarnation) error {
	err := s.inTx(ctx, s.Exclusive, func(tx *sql.Tx) error {
		for ; ; i.Epoch++ {
			taken := false
			if err := tx.QueryRowContext(ctx, s.sql(`SELECT EXISTS (SELECT 1 FROM incarnations WHERE epoch = ? AND identity <> ?)`), i.Epoch, identity).Scan(&taken); err != nil {
				return err
			}
			if !taken {
				break
			}
		}
		_, err := tx.ExecContext(ctx, s.sql(`INSERT INTO incarnations (identity, epoch, first) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`), identity, i.Epoch, i.First)
		return err
	})
	if err != nil {
		return fmt.Errorf("note an incarnation: %w", err)
	}
	return nil
}

// Newest is the newest message that is there of an incarnation; its sequence is 0 if there is none.
func (s *Store) Newest(ctx context.Context, epoch int64) (m record.Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	var said, copied int64
	err = s.read.QueryRowContext(ctx, s.sql(`SELECT epoch, sequence, time, copied FROM messages WHERE epoch = ? ORDER BY sequence DESC LIMIT 1`), epoch).
		Scan(&m.ID.Epoch, &m.ID.Sequence, &said, &copied)
	if errors.Is(err, sql.ErrNoRows) {
		return record.Message{}, nil
	}
	if err != nil {
		return record.Message{}, fmt.Errorf("look up the newest message: %w", err)
	}
	m.Time, m.Copied, m.Exact = moment(said), moment(copied), copied != 0 && said != copied
	return m, nil
}
