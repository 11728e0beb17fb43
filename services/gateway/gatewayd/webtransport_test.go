package gatewayd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"

	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// certify writes a certificate for 127.0.0.1 and its key, and returns their names.
func certify(t testing.TB, dir string, until time.Time) (cert, key string, leaf *x509.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(-48 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return cert, key, leaf
}

// withWebTransport turns it on, with a certificate of its own.
func withWebTransport(t testing.TB) (func(*gatewayd.Config), *x509.Certificate) {
	cert, key, leaf := certify(t, t.TempDir(), time.Now().Add(time.Hour))
	return func(c *gatewayd.Config) {
		c.Transports = append(c.Transports, "webtransport")
		c.WebTransport = gatewayd.WebTransport{Cert: cert, Key: key}
	}, leaf
}

// streamLink is a stream of a WebTransport session.
type streamLink struct {
	*webtransport.Stream
	session *webtransport.Session
	quic    *quic.Conn
	mu      sync.Mutex // writes
}

func dialStream(address string, trusted *x509.Certificate) (*streamLink, error) {
	roots := x509.NewCertPool()
	roots.AddCert(trusted)
	l := &streamLink{}
	d := webtransport.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialAddr: func(ctx context.Context, addr string, t *tls.Config, q *quic.Config) (conn *quic.Conn, err error) {
			l.quic, err = quic.DialAddr(ctx, addr, t, q)
			return l.quic, err
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if _, l.session, err = d.Dial(ctx, "https://"+address+"/socket.io/", nil); err == nil {
		l.Stream, err = l.session.OpenStreamSync(ctx)
	}
	if err != nil {
		if l.quic != nil {
			l.quic.CloseWithError(0, "")
		}
		return nil, err
	}
	return l, nil
}

// stream opens a session at the gateway, which sends what comes first: a packet.
func (g *gateway) stream(trusted *x509.Certificate, first string) *streamLink {
	g.t.Helper()
	l, err := dialStream(g.Addr().String(), trusted)
	if err != nil {
		g.t.Fatalf("WebTransport: %v", err)
	}
	if err := l.say(first); err != nil {
		g.t.Fatal(err)
	}
	return l
}

func (l *streamLink) say(text string) error {
	p, err := engineio.Decode([]byte(text))
	if err != nil {
		return err
	}
	return l.write(p)
}

func (l *streamLink) read() ([]engineio.Packet, error) {
	binary, n, err := engineio.ReadStreamHeader(l.Stream, 1<<30)
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(l.Stream, data); err != nil {
		return nil, err
	}
	if binary {
		return []engineio.Packet{{Type: engineio.Message, Binary: true, Data: data}}, nil
	}
	p, err := engineio.Decode(data)
	return []engineio.Packet{p}, err
}

func (l *streamLink) write(p engineio.Packet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.Stream.Write(engineio.AppendStream(nil, p))
	return err
}

func (l *streamLink) close() { l.session.CloseWithError(0, "") }

func TestWebTransport(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	on, leaf := withWebTransport(t)
	g := d.gateway(on)
	link := g.stream(leaf, "0")
	if open, err := link.read(); err != nil || open[0].Type != engineio.Open {
		t.Fatalf("open: %v %v", open, err)
	}
	c := g.client(link)
	c.run()
	s, other := c.enter("/", ""), g.connect()
	s.join("red")
	other.join("red")
	if ack := s.request(`"room message"`, `"red"`, `"over QUIC"`); !strings.Contains(ack, `"ok":true`) {
		t.Fatal(ack)
	}
	for _, s := range []*socket{s, other} {
		if e := s.event(); !strings.HasPrefix(e, `["room message","red","over QUIC",`) {
			t.Fatal(e)
		}
	}
	g.stop()
	wait(t, "the end of the session", func() bool { return link.session.Context().Err() != nil })
}

// TestAWebTransportUpgradeAtAnotherGateway opens a session at one gateway, and its WebTransport stream at another.
func TestAWebTransportUpgradeAtAnotherGateway(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	on, leaf := withWebTransport(t)
	gws := d.gateways(2, on)
	polling := &pollLink{url: gws[0].url("http", engineQuery+"polling")}
	open, err := polling.read()
	if err != nil {
		t.Fatal(err)
	}
	h, err := engineio.DecodeOpen(open[0].Data)
	if err != nil || strings.Join(h.Upgrades, " ") != "websocket webtransport" {
		t.Fatalf("open: %+v %v", h, err)
	}
	link := gws[1].stream(leaf, `0{"sid":"`+h.SID+`"}`)
	if err := link.say("2probe"); err != nil {
		t.Fatal(err)
	}
	if got, err := link.read(); err != nil || got[0].Type != engineio.Pong || string(got[0].Data) != "probe" {
		t.Fatalf("%v %v", got, err)
	}
	if err := link.say("5"); err != nil {
		t.Fatal(err)
	}
	c := gws[0].client(link)
	c.run()
	s := c.enter("/", "")
	s.join("red")
	if n := gws[1].metric("natter_gateway_tunnels"); n != 1 {
		t.Errorf("%v tunnels", n)
	}
	if ack := s.request(`"room message"`, `"red"`, `"carried"`); !strings.Contains(ack, `"ok":true`) {
		t.Fatal(ack)
	}
	c.close()
	wait(t, "the session to end", func() bool { return gws[0].metric("natter_gateway_connections") == 0 })
	settled(t, gws)

	// A gateway that is gone has no sessions: the client hears so, and begins anew.
	gws[0].stop()
	gone := gws[1].stream(leaf, `0{"sid":"`+h.SID+`"}`)
	wait(t, "the end of the session", func() bool { return gone.session.Context().Err() != nil })
}

// TestWebTransportOffTakesNoPort has a program of ours on the gateway's UDP port, until it is on.
func TestWebTransportOffTakesNoPort(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	socket, err := net.ListenPacket("udp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	on, _ := withWebTransport(t)
	cfg := gatewayd.Defaults()
	cfg.Listen, cfg.NATS.URL = "127.0.0.1:0", d.nats.URL()
	on(&cfg)
	cfg.WebTransport.Listen = socket.LocalAddr().String()
	s, err := gatewayd.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "already in use for UDP") {
		t.Errorf("on a port that is in use: %v", err)
	}
}

// TestTheCertificateIsReadAgain replaces it while the gateway runs.
func TestTheCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	dir := t.TempDir()
	cert, key, old := certify(t, dir, time.Now().Add(time.Hour))
	g := d.gateway(func(c *gatewayd.Config) {
		c.Transports = []string{"webtransport"}
		c.WebTransport = gatewayd.WebTransport{Cert: cert, Key: key}
	})
	kept := g.stream(old, "0")
	defer kept.close()
	if err := os.WriteFile(key, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(1500 * time.Millisecond) // the files are looked at again in between
	wait(t, "the files to be looked at", func() bool {
		l, err := dialStream(g.Addr().String(), old)
		if err != nil {
			t.Fatalf("with half a new certificate: %v", err)
		}
		l.close()
		return time.Now().After(until)
	})
	_, _, renewed := certify(t, dir, time.Now().Add(2*time.Hour))
	wait(t, "the new certificate", func() bool {
		l, err := dialStream(g.Addr().String(), renewed)
		if err != nil {
			return false
		}
		l.close()
		return true
	})
	if open, err := kept.read(); err != nil || open[0].Type != engineio.Open { // nobody was disconnected for it
		t.Errorf("open: %v %v", open, err)
	}
}

func TestWebTransportSettingsThatCannotWork(t *testing.T) {
	t.Parallel()
	cert, key, _ := certify(t, t.TempDir(), time.Now().Add(time.Hour))
	_, otherKey, _ := certify(t, t.TempDir(), time.Now().Add(time.Hour))
	expired, expiredKey, _ := certify(t, t.TempDir(), time.Now().Add(-time.Hour))
	on, off := []string{"polling", "webtransport"}, []string{"polling"}
	for name, tt := range map[string]struct {
		transports []string
		settings   gatewayd.WebTransport
		opts       []gatewayd.Option
		want       string
	}{
		"no certificate": {on, gatewayd.WebTransport{}, nil, "needs a certificate: set webtransport.cert and webtransport.key"},
		"no key":         {on, gatewayd.WebTransport{Cert: cert}, nil, "needs a certificate"},
		"no such file":   {on, gatewayd.WebTransport{Cert: cert + "x", Key: key}, nil, "no such file"},
		"no PEM":         {on, gatewayd.WebTransport{Cert: "webtransport_test.go", Key: key}, nil, "webtransport.cert"},
		"another's key":  {on, gatewayd.WebTransport{Cert: cert, Key: otherKey}, nil, "does not match"},
		"expired":        {on, gatewayd.WebTransport{Cert: expired, Key: expiredKey}, nil, "was good until"},
		"address":        {on, gatewayd.WebTransport{Cert: cert, Key: key, Listen: "443"}, nil, `webtransport.listen: "443" is not host:port`},
		"off":            {off, gatewayd.WebTransport{Cert: cert, Key: key}, nil, "transports does not have webtransport"},
		"no listener":    {on, gatewayd.WebTransport{Cert: cert, Key: key}, []gatewayd.Option{gatewayd.WithoutListener()}, "webtransport.listen"},
		"fine":           {on, gatewayd.WebTransport{Cert: cert, Key: key, Listen: ":0"}, []gatewayd.Option{gatewayd.WithoutListener()}, ""},
	} {
		cfg := gatewayd.Defaults()
		cfg.Transports, cfg.WebTransport = tt.transports, tt.settings
		_, err := gatewayd.New(cfg, slog.New(slog.DiscardHandler), tt.opts...)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
