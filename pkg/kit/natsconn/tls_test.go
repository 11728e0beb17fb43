package natsconn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/natstest"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	s := natstest.Run(t, conf(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", cert, key, cert)))
	_, log := newLog()
	if nc := dial(t, Options{URL: s.URL(), CAFile: cert, CertFile: cert, KeyFile: key}, log); nc.Flush() != nil {
		t.Error("cannot flush over TLS")
	}
	var err error
	for limit := time.Second; limit < time.Minute; limit *= 5 { // a handshake that is not over by then is no reason
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err = Dial(ctx, Options{URL: s.URL()}, log)
		cancel()
		if err == nil || strings.Contains(err.Error(), "certificate") {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: got %v, want an error that names the certificate", err)
	}
	if _, err := Dial(t.Context(), Options{URL: s.URL(), CAFile: key}, log); err == nil || !strings.Contains(err.Error(), "caFile") {
		t.Errorf("with a key for an authority: got %v", err)
	}
}

// selfSigned writes a certificate that is its own authority, and its key.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "natter test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER)
}
