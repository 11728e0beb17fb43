package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// ErrInUse says that another instance of the service has the file open.
var ErrInUse = errors.New("another instance has this file open, and an SQLite file is for one: stop that one, or use PostgreSQL")

// lockSuffix is that of the file beside the database which the instance that has it open holds a lock on. It is empty.
const lockSuffix = "-lock"

// hold keeps other instances from the database until release is called or the process ends, however it does. The lock is
// SQLite's own, so it is there on every system, but on a file beside the database, which programs that read it or back it
// up do not know.
func hold(ctx context.Context, path string) (release func() error, err error) {
	if path, err = real(path); err != nil {
		return nil, err
	}
	db, err := open(path+lockSuffix, 1)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, "BEGIN EXCLUSIVE") // without end
	}
	if err != nil {
		if IsBusy(err) {
			err = fmt.Errorf("%w (it holds %s)", ErrInUse, path+lockSuffix)
		}
		return nil, errors.Join(err, db.Close())
	}
	return sync.OnceValue(func() error { return errors.Join(conn.Close(), db.Close()) }), nil
}

// real is the path without symbolic links: by whatever name an instance knows the file, the lock is the same.
func real(path string) (string, error) {
	whole, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, os.ErrNotExist) {
		return whole, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}
