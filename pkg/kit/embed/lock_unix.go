//go:build unix

package embed

import (
	"os"

	"golang.org/x/sys/unix"
)

// errLocked is the error of lockFile when somebody else has the lock.
const errLocked = unix.EWOULDBLOCK

// lockFile takes an exclusive lock that ends with the file or the process.
func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
