//go:build !unix

package transport

import (
	"net"
	"syscall"
)

// directConn: without a non-blocking write, all writing is the drain goroutine's.
func directConn(net.Conn) syscall.RawConn { return nil }

func writeNow(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
