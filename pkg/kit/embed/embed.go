// Package embed runs a nats-server with JetStream inside the process, for the
// all-in-one command and for tests. It is the only package that imports
// nats-server.
//
// It knows nothing of Natter: no subjects, streams or users. Part of the kit:
// small, for Natter's own programs, no compatibility promise.
package embed

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Errors that Start wraps, for errors.Is.
var (
	ErrPortInUse  = errors.New("port is in use")
	ErrStoreInUse = errors.New("store directory is in use")
	ErrNotReady   = errors.New("server did not become ready")
)

const (
	defaultHost      = "127.0.0.1"
	defaultMaxMemory = 256 << 20
	defaultMaxStore  = 10 << 30
	readyTimeout     = 30 * time.Second
	readyStep        = 250 * time.Millisecond
)

// Options of a server. The zero value of everything but StoreDir is usable.
type Options struct {
	// Host to listen on; 127.0.0.1 if empty. There is no authentication unless
	// ConfigFile brings it, so think before listening elsewhere.
	Host string
	// Port to listen on; 0 takes a free one.
	Port int
	// StoreDir holds JetStream's files. Required; created if missing. One
	// server at a time may use it.
	StoreDir string
	// MaxMemory and MaxStore limit JetStream, in bytes; 256 MiB and 10 GiB if 0.
	MaxMemory, MaxStore int64
	// MaxPayload is the largest message in bytes; nats-server's 1 MiB if 0.
	MaxPayload int32
	// SyncInterval is how often what was written is flushed to the disk; nats-server's
	// 2 minutes if 0.
	SyncInterval time.Duration
	// SyncAlways flushes each write to the disk before it is acknowledged. Without
	// it a killed process loses nothing, but a power loss may cost what SyncInterval allows.
	SyncAlways bool
	// ServerName is shown to clients and in logs; "natter" if empty. Unique in a cluster.
	ServerName string
	// MonitorPort serves nats-server's monitoring pages over HTTP on Host; 0 is off.
	MonitorPort int
	// Cluster makes the server a member of one; nil for a server by itself.
	Cluster *Cluster
	// ConfigFile is a nats-server configuration to start from (users, accounts,
	// permissions, TLS). The other options win over what it says.
	ConfigFile string
	// Log receives the server's warnings and errors; slog.Default() if nil.
	Log *slog.Logger
}

// Cluster says how a server finds the other members.
type Cluster struct {
	Name string
	// Port for the other members, on Options.Host.
	Port int
	// Routes are the URLs of all members, itself included: nats://host:clusterport.
	Routes []string
}

// Server is a running nats-server. Its methods may be called concurrently.
type Server struct {
	srv      *server.Server
	unlock   func() error
	stopOnce sync.Once
	stopErr  error
}

// Start starts a server and returns once it accepts connections. In a cluster,
// JetStream may take some seconds more to elect its leader.
//
// Errors: ErrPortInUse and ErrStoreInUse, worded for the person who started the
// program; ErrNotReady; any other failure of nats-server.
func Start(opts Options) (*Server, error) {
	if opts.StoreDir == "" {
		return nil, errors.New("embedded NATS: StoreDir is empty: name a directory for JetStream's files")
	}
	opts = withDefaults(opts)

	unlock, err := lockStore(opts.StoreDir)
	if err != nil {
		return nil, err
	}
	srv, err := start(opts)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	return &Server{srv: srv, unlock: unlock}, nil
}

func withDefaults(o Options) Options {
	if o.Host == "" {
		o.Host = defaultHost
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = defaultMaxMemory
	}
	if o.MaxStore == 0 {
		o.MaxStore = defaultMaxStore
	}
	if o.ServerName == "" {
		o.ServerName = "natter"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

func start(opts Options) (*server.Server, error) {
	for _, port := range []int{opts.Port, opts.MonitorPort} {
		if err := checkPort(opts.Host, port); err != nil {
			return nil, err
		}
	}
	so, err := serverOptions(opts)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	logger := &bridge{log: opts.Log.With("component", "nats-server"), fatal: make(chan error, 1)}
	srv.SetLoggerV2(logger, false, false, false)
	srv.Start()
	if err = awaitReady(srv, logger.fatal); err == nil {
		return srv, nil
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil, err
}

// awaitReady polls in short steps, since nats-server's own wait ends neither
// with a fatal error nor with the server.
func awaitReady(srv *server.Server, fatal <-chan error) error {
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); {
		select {
		case err := <-fatal:
			return fmt.Errorf("embedded NATS: %w", err)
		default:
		}
		if srv.ReadyForConnections(readyStep) {
			return nil
		}
	}
	return fmt.Errorf("embedded NATS: %w in %s", ErrNotReady, readyTimeout)
}

// serverOptions translates Options into nats-server's, on top of ConfigFile.
func serverOptions(opts Options) (*server.Options, error) {
	so := &server.Options{}
	if opts.ConfigFile != "" {
		var err error
		if so, err = server.ProcessConfigFile(opts.ConfigFile); err != nil {
			return nil, fmt.Errorf("embedded NATS: %w", err)
		}
	}
	so.Host = opts.Host
	so.Port = opts.Port
	if so.Port == 0 {
		so.Port = server.RANDOM_PORT
	}
	so.ServerName = opts.ServerName
	so.JetStream = true
	so.StoreDir = opts.StoreDir
	so.JetStreamMaxMemory = opts.MaxMemory
	so.JetStreamMaxStore = opts.MaxStore
	so.SyncAlways = so.SyncAlways || opts.SyncAlways
	if opts.SyncInterval > 0 {
		so.SyncInterval = opts.SyncInterval
	}
	if opts.MaxPayload > 0 {
		so.MaxPayload = opts.MaxPayload
	}
	so.NoSigs = true
	so.HTTPHost, so.HTTPPort, so.HTTPSPort = opts.Host, opts.MonitorPort, 0
	if c := opts.Cluster; c != nil {
		so.Cluster.Name = c.Name
		so.Cluster.Host = opts.Host
		so.Cluster.Port = c.Port
		so.Routes = server.RoutesFromStr(strings.Join(c.Routes, ","))
	}
	return so, nil
}

// checkPort finds out before the server starts, since nats-server's own report
// of a taken port is a fatal log line.
func checkPort(host string, port int) error {
	if port == 0 {
		return nil
	}
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return &inUseError{ErrPortInUse, addr + " is already in use: another NATS or Natter is running there; " +
			"stop it or choose another port with --nats-port"}
	}
	if err != nil {
		return fmt.Errorf("embedded NATS cannot listen: %w", err)
	}
	return l.Close()
}

// inUseError carries a sentinel without showing it: the message is for people.
type inUseError struct {
	kind error
	msg  string
}

func (e *inUseError) Error() string { return e.msg }
func (e *inUseError) Unwrap() error { return e.kind }

// lockStore refuses a second server on one directory, which would corrupt it.
func lockStore(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded NATS: create the store directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "embed.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: lock the store directory: %w", err)
	}
	if err := lockFile(f); err != nil {
		if !errors.Is(err, errLocked) {
			return nil, errors.Join(fmt.Errorf("embedded NATS: lock the store directory %s: %w", dir, err), f.Close())
		}
		return nil, errors.Join(&inUseError{ErrStoreInUse, dir + " is already in use by another running Natter; " +
			"stop it or choose another directory with --data"}, f.Close())
	}
	// Closing the file drops the lock. The file stays: removing it would let a
	// third process lock a new one while a second waits on the old.
	return f.Close, nil
}

// ClientURL is where clients connect, such as nats://127.0.0.1:4222.
func (s *Server) ClientURL() string { return s.srv.ClientURL() }

// Name is the server's name.
func (s *Server) Name() string { return s.srv.Name() }

// InProcess makes nats.Connect talk to this server over a pipe instead of TCP.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.srv) }

// Shutdown stops the server, waits until its files are closed, and frees the
// store directory. Further calls return the first one's result.
func (s *Server) Shutdown() error {
	s.stopOnce.Do(func() {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
		s.stopErr = s.unlock()
	})
	return s.stopErr
}
