package carry

import (
	"io"
	"sync"
)

// Tunnels are many and mostly silent, so what they hold while they are must be small.
const firstRead = 2 << 10

var largeBuffers = sync.Pool{New: func() any { return new([chunk]byte) }}

// ReadFrom implements io.ReaderFrom for [io.Copy]: with a small buffer, and a large one as long as much comes.
func (s *stream) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	small := make([]byte, firstRead)
	for {
		n, err := r.Read(small)
		m, failed := s.Write(small[:n])
		total += int64(m)
		for full := n == len(small); full && err == nil && failed == nil; {
			large := largeBuffers.Get().(*[chunk]byte)
			n, err = r.Read(large[:])
			m, failed = s.Write(large[:n])
			largeBuffers.Put(large)
			total += int64(m)
			full = n > len(small)
		}
		switch {
		case failed != nil:
			return total, failed
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// WriteTo implements io.WriterTo for [io.Copy]: a buffer is held while bytes are there only.
func (s *stream) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := s.waitReadable(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		large := largeBuffers.Get().(*[chunk]byte)
		n, err := s.Read(large[:])
		if n > 0 {
			n, err = w.Write(large[:n])
		}
		largeBuffers.Put(large)
		total += int64(n)
		if err != nil && err != io.EOF {
			return total, err
		}
	}
}

// waitReadable waits until Read would not wait. It fails with io.EOF at the end of the stream.
func (s *stream) waitReadable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readable()
}
