package gatewayd

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"syscall"

	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// WebTransport are the settings of a transport that needs a UDP port and a certificate, since it runs over QUIC. It
// is served if [Settings].Transports has it.
type WebTransport struct {
	Listen string `help:"UDP address for WebTransport: host:port; that of listen if empty. Clients expect the port that they use otherwise." placeholder:"ADDRESS"`
	Cert   string `help:"PEM file with the certificate for WebTransport, and what is between it and its authority. Read again when it changes." placeholder:"FILE"`
	Key    string `help:"PEM file with the certificate's private key." placeholder:"FILE"`
}

// validate reports settings that cannot work. on says whether WebTransport is served.
func (w WebTransport) validate(on bool) error {
	switch {
	case !on && w != WebTransport{}:
		return errors.New("webtransport: is set up, but transports does not have webtransport: add it there, or leave this out")
	case !on:
		return nil
	case w.Cert == "" || w.Key == "":
		return errors.New("webtransport: transports has webtransport, which needs a certificate: set webtransport.cert and webtransport.key to its PEM files")
	}
	var errs []error
	if w.Listen != "" {
		errs = append(errs, validateAddress("webtransport.listen", w.Listen))
	}
	if _, err := loadCertificate(w.Cert, w.Key); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// servesWebTransport says whether WebTransport is on.
func (s Settings) servesWebTransport() bool {
	return slices.Contains(s.Transports, transport.WebTransport)
}

// openUDP takes the port for WebTransport. own is the address of the gateway's HTTP server, nil if it has none.
func (s *Service) openUDP(ctx context.Context, own net.Addr) (net.PacketConn, error) {
	address := s.cfg.WebTransport.Listen
	if address == "" {
		address = own.String()
	}
	var lc net.ListenConfig
	socket, err := lc.ListenPacket(ctx, "udp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is already in use for UDP: another gateway or program is running there; stop it or choose another address with --webtransport-listen", address)
	}
	if err != nil {
		return nil, fmt.Errorf("webtransport.listen: %w", err)
	}
	return socket, nil
}

// webTransport serves WebTransport on the socket. It is to be stopped after the transport is shut down.
func (s *Service) webTransport(socket net.PacketConn, server *transport.Server) run.Component {
	return run.Component{Name: "webtransport", Run: func(ctx context.Context) error {
		certificate, err := newCertificate(s.cfg.WebTransport.Cert, s.cfg.WebTransport.Key, s.log)
		if err != nil {
			return err
		}
		leaf := certificate.loaded.Leaf
		hash := sha256.Sum256(leaf.Raw)
		s.log.Info("serving WebTransport", "address", socket.LocalAddr().String(),
			slog.Group("certificate", "sha256", hex.EncodeToString(hash[:]), "until", leaf.NotAfter))
		return server.ServeWebTransport(ctx, socket, &tls.Config{GetCertificate: certificate.get})
	}}
}
