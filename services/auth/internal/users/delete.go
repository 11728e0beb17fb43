package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/accounts"
)

const (
	// settle is how long after its beginning a deletion is carried out once more: by then a client whom the
	// middleware admitted just before has entered its namespaces, and is disconnected too.
	settle = 30 * time.Second
	// interval is how often the log of deletions is looked at.
	interval = 5 * time.Second
	// completeTimeout bounds one round of completing deletions.
	completeTimeout = time.Minute
)

// Delete deletes a user by order of another (by, a user's id; "" for a service). When it returns nil the
// account is gone, the fact is stored, and the order to disconnect the user's sockets is too.
//
// The deletion is written down first, so that one which was interrupted is continued by [Users.Run] of any
// instance; every step may be taken again. It fails with [accounts.ErrNotFound], [accounts.ErrLastAdmin],
// [accounts.ErrBusy] or an error of JetStream; after the latter the deletion goes on as soon as that is back.
func (u *Users) Delete(ctx context.Context, id, by string) error {
	d, err := u.store.BeginDelete(ctx, id, by)
	if err != nil {
		return err
	}
	if err := u.carryOut(ctx, d); err != nil {
		return fmt.Errorf("deleting the user %s: %w", id, err)
	}
	u.log.Info("user deleted", "user", d.ID, "name", d.Name, "by", d.By)
	return nil
}

// carryOut takes the steps of a deletion: first the one that keeps the user from coming back.
func (u *Users) carryOut(ctx context.Context, d accounts.Deletion) error {
	if err := u.store.Remove(ctx, d); err != nil {
		return err
	}
	fact, err := json.Marshal(contract.UserDeleted{User: d.ID, Name: d.Name, By: d.By, Time: d.Begun})
	if err != nil {
		return fmt.Errorf("the fact: %w", err)
	}
	// The id keeps the fact from being stored twice when it is published again within the stream's window.
	_, err = u.js.Publish(ctx, u.subjects.Endpoint(contract.Event, "user", "deleted"), fact, jetstream.WithMsgID("user.deleted."+d.ID))
	if err != nil {
		return fmt.Errorf("storing the fact that the user is deleted: %w", err)
	}
	return u.disconnect(ctx, d)
}

// disconnect orders the user's sockets in every namespace to be disconnected.
func (u *Users) disconnect(ctx context.Context, d accounts.Deletion) error {
	namespaces, err := Namespaces(ctx, u.js, u.subjects)
	if err != nil {
		return err
	}
	for _, ns := range namespaces {
		if err := Disconnect(ctx, u.js, u.subjects, ns, contract.UserRoom(d.ID), d.By); err != nil {
			return err
		}
	}
	return nil
}

// Disconnect orders the sockets in a room (or the socket with that id) of a namespace to be disconnected and
// their connections to be closed.
func Disconnect(ctx context.Context, js jetstream.JetStream, s contract.Subjects, namespace, room, by string) error {
	subject, err := s.To(contract.Do, namespace, contract.To(room))
	if err != nil {
		return fmt.Errorf("disconnecting: %w", err)
	}
	msg := nats.NewMsg(subject)
	msg.Data = []byte(`["disconnect",true]`)
	if by != "" {
		msg.Header.Set(contract.HeaderUser, by)
	}
	if _, err := js.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("disconnecting %s in the namespace %s: %w", room, namespace, err)
	}
	return nil
}

// Namespaces lists the names of the namespaces that exist. Before the first gateway has started there are
// none.
func Namespaces(ctx context.Context, js jetstream.JetStream, s contract.Subjects) ([]string, error) {
	kv, err := js.KeyValue(ctx, s.Names().Namespaces)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the namespaces: %w", err)
	}
	keys, err := kv.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, fmt.Errorf("listing the namespaces: %w", err)
	}
	names := make([]string, 0, len(keys))
	for _, key := range keys {
		// What is no namespace's token was not written by the rules and has no sockets either.
		if name, err := contract.DecodeNamespace(key); err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

var errUnread = errors.New("not readable now")

// Run completes deletions until the context ends: those that were interrupted, and each once more when it has
// settled. It goes on over failures, which it logs.
func (u *Users) Run(ctx context.Context) error {
	tick := time.NewTicker(u.interval)
	defer tick.Stop()
	for {
		switch err := u.complete(ctx); {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, errUnread):
			u.log.Warn("cannot tell whether a deletion was interrupted; looking again", "error", err)
		default:
			u.log.Warn("deletions are not complete yet; they are tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// complete ends the deletions that have settled.
func (u *Users) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	log, _, err := u.store.Deletions(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnread, err)
	}
	var errs []error
	for _, d := range log {
		if u.now().Sub(d.Begun) < u.settle {
			continue
		}
		err := u.carryOut(ctx, d)
		if err == nil {
			err = u.store.EndDelete(ctx, d.ID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
