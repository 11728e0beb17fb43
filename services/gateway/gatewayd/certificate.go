package gatewayd

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateCheck is how often the files of a certificate are looked at, at most.
const certificateCheck = time.Second

// certificate is one in files, which are read again when they change: certificates are renewed, and a gateway that
// stops for it disconnects its clients. Its methods may be called concurrently.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // when the files that are loaded were last written
	checked time.Time
}

func newCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log, checked: time.Now()}
	var err error
	if c.changed, err = lastChange(cert, key); err != nil {
		return nil, err
	}
	c.loaded, err = loadCertificate(cert, key)
	return c, err
}

// loadCertificate reads a certificate that is good today.
func loadCertificate(cert, key string) (*tls.Certificate, error) {
	loaded, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("webtransport.cert %q, webtransport.key %q: %w", cert, key, err)
	}
	if until := loaded.Leaf.NotAfter; time.Now().After(until) {
		return nil, fmt.Errorf("webtransport.cert %q: the certificate was good until %s: no browser takes it now", cert, until.Format(time.RFC3339))
	}
	return &loaded, nil
}

// lastChange is when one of the files was last written.
func lastChange(names ...string) (time.Time, error) {
	var last time.Time
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return time.Time{}, err
		}
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last, nil
}

// get is the certificate for a handshake. What cannot be read, such as a new certificate whose key is not there yet,
// changes nothing; it is tried again.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < certificateCheck {
		return c.loaded, nil
	}
	c.checked = time.Now()
	changed, err := lastChange(c.cert, c.key)
	if err == nil && changed.Equal(c.changed) {
		return c.loaded, nil
	}
	loaded, err := loadCertificate(c.cert, c.key)
	if err != nil {
		c.log.Warn("the certificate has changed and cannot be read; the one from before is used", "error", err)
		return c.loaded, nil
	}
	c.loaded, c.changed = loaded, changed
	c.log.Info("the certificate was read again", "until", loaded.Leaf.NotAfter)
	return loaded, nil
}
