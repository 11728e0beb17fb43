package embed

import (
	"os"

	"golang.org/x/sys/windows"
)

// errLocked is the error of lockFile when somebody else has the lock.
const errLocked = windows.ERROR_LOCK_VIOLATION

// lockFile takes an exclusive lock that ends with the file or the process.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{})
}
