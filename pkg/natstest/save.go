package natstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Save stops the server, keeps a copy of what it has stored, and starts it again. The function that it returns puts the copy
// back, as a loss of power may, or a backup: all of it, or the streams of these names alone.
func (s *Server) Save() (putBack func(streams ...string)) {
	s.t.Helper()
	s.Shutdown()
	store, copied := s.opts.StoreDir, s.t.TempDir()
	s.copy(store, copied)
	s.Restart()
	return func(streams ...string) {
		s.t.Helper()
		s.Shutdown()
		if len(streams) == 0 {
			s.copy(copied, store)
		}
		found := 0
		err := filepath.WalkDir(copied, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() || !slices.Contains(streams, d.Name()) || filepath.Base(filepath.Dir(path)) != "streams" {
				return err
			}
			found++
			rest, err := filepath.Rel(copied, path)
			if err == nil {
				s.copy(path, filepath.Join(store, rest))
			}
			return err
		})
		if err != nil || found != len(streams) {
			s.t.Fatalf("natstest: %d of the streams %q were put back: %v", found, streams, err)
		}
		s.Restart()
	}
}

func (s *Server) copy(from, to string) {
	s.t.Helper()
	if err := os.RemoveAll(to); err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
}
