// Package natsconn connects a service to NATS with settings that lose nothing
// silently, and tells the log what happens to the connection.
//
// It knows nothing of subjects or streams. Part of the kit: small, for Natter's
// own programs, no compatibility promise.
package natsconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/kit/config"
)

// Errors that Dial and Check wrap.
var (
	// ErrRefused: a server answered but does not want these credentials.
	ErrRefused = errors.New("NATS refused the credentials")
	// ErrNotConnected: there is no connection at the moment.
	ErrNotConnected = errors.New("not connected to NATS")
)

const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = time.Second
	pingInterval    = 10 * time.Second
	maxPingsOut     = 2
	// waitingEvery spaces the log lines of a Dial that finds no NATS.
	waitingEvery = 10 * time.Second
)

// Options say where NATS is and who we are. They can be embedded in a service's
// configuration, under `embed:"" prefix:"nats-"`.
type Options struct {
	URL string `default:"nats://127.0.0.1:4222" help:"NATS servers, separated by commas."`

	Creds    string        `help:"Credentials file (JWT and nkey seed)." placeholder:"FILE"`
	NKeyFile string        `name:"nkey-file" help:"File with an nkey seed." placeholder:"FILE"`
	User     string        `help:"User name."`
	Password config.Secret `help:"Password of the user; file:PATH reads it from a file."`
	Token    config.Secret `help:"Token; file:PATH reads it from a file."`

	CAFile   string `name:"ca-file" help:"Certificate authorities to trust, PEM." placeholder:"FILE"`
	CertFile string `help:"Client certificate, PEM." placeholder:"FILE"`
	KeyFile  string `help:"Key of the client certificate, PEM." placeholder:"FILE"`

	InboxPrefix string `help:"Prefix of reply subjects, where this user's permissions name one of its own."`

	// Name of the connection in NATS's monitoring and logs. The service sets it.
	Name string `kong:"-"`
}

// Validate reports settings that contradict each other.
func (o Options) Validate() error {
	var ways []string
	for _, w := range []struct {
		key string
		set bool
	}{
		{"creds", o.Creds != ""}, {"nkeyFile", o.NKeyFile != ""}, {"user", o.User != ""}, {"token", o.Token != ""},
	} {
		if w.set {
			ways = append(ways, w.key)
		}
	}
	var errs []error
	if len(ways) > 1 {
		errs = append(errs, fmt.Errorf("%s are all set: choose one way to authenticate", strings.Join(ways, " and ")))
	}
	if (o.User == "") != (o.Password == "") {
		errs = append(errs, errors.New("user and password go together: set both or neither"))
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		errs = append(errs, errors.New("certFile and keyFile go together: set both or neither"))
	}
	for server := range strings.SplitSeq(o.URL, ",") {
		errs = append(errs, validateURL(strings.TrimSpace(server)))
	}
	return errors.Join(errs...)
}

// validateURL catches what the client would take for an unreachable server and
// try forever.
func validateURL(server string) error {
	if server == "" {
		return errors.New("url is empty: name a server, such as nats://127.0.0.1:4222")
	}
	full := server
	if !strings.Contains(server, "://") {
		full = "nats://" + server
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || strings.Contains(u.Hostname(), ":") && u.Host[0] != '[' {
		return fmt.Errorf("url: %q is not valid: want something like nats://127.0.0.1:4222", redactURL(server))
	}
	return nil
}

// Dial connects, and waits until it is connected or ctx is done. While NATS
// cannot be reached it says so in the log and goes on trying; the same holds for
// the whole life of the connection, which never gives up. The caller closes it.
//
// extra comes last and so wins: embed.Server.InProcess, or handlers.
//
// Errors: ErrRefused at the first answer that refuses us; what Validate finds;
// unreadable files; the cause of ctx, with the last connection error.
func Dial(ctx context.Context, o Options, log *slog.Logger, extra ...nats.Option) (*nats.Conn, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	auth, err := o.credentials()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	where, to := redactURL(o.URL), "NATS at "+redactURL(o.URL)
	if inProcess(extra) {
		where, to = "in this process", "NATS in this process"
	}
	w := &watcher{log: log.With("nats", where), inProcess: inProcess(extra), attempt: make(chan error, 1), connected: make(chan struct{})}
	nopts := append(noLoss(o), w.handlers()...)
	nopts = append(nopts, auth...)
	nopts = append(nopts, extra...)
	nc, err := nats.Connect(o.URL, append(nopts, strictWrites)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", to, err)
	}
	if err := w.wait(ctx, nc); err != nil {
		w.quiet.Store(true)
		nc.Close()
		return nil, fmt.Errorf("connect to %s: %w", to, err)
	}
	return nc, nil
}

// inProcess says whether the options lead to a server in this process, whatever the URL says.
func inProcess(opts []nats.Option) bool {
	var all nats.Options
	for _, opt := range opts {
		if opt(&all) != nil {
			return false // Connect says so
		}
	}
	return all.InProcessServer != nil
}

// noLoss are the settings under which the client neither gives up nor hides a
// failure: publishing while disconnected fails at once (ReconnectBufSize), since
// the default buffer would send stale messages minutes later.
func noLoss(o Options) []nats.Option {
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(), // a server that reloads its users must not end us
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOut),
		nats.FlusherTimeout(pingInterval), // a write that waits holds up the pings that would find the server frozen
		nats.ReconnectBufSize(-1),
	}
	if o.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(strings.TrimSuffix(o.InboxPrefix, ".")))
	}
	return opts
}

// credentials reads the files once, so that a wrong path fails now and not in a
// reconnect loop.
func (o Options) credentials() ([]nats.Option, error) {
	if o.Creds != "" {
		if _, err := os.ReadFile(o.Creds); err != nil {
			return nil, fmt.Errorf("creds: %w", err)
		}
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no certificate in PEM form", o.CAFile)
		}
	}
	if o.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile); err != nil {
			return nil, fmt.Errorf("certFile, keyFile: %w", err)
		}
	}
	var opts []nats.Option
	switch {
	case o.Creds != "":
		opts = append(opts, nats.UserCredentials(o.Creds))
	case o.NKeyFile != "":
		nkey, err := nats.NkeyOptionFromSeed(o.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("nkeyFile: %w", err)
		}
		opts = append(opts, nkey)
	case o.User != "":
		opts = append(opts, nats.UserInfo(o.User, o.Password.Reveal()))
	case o.Token != "":
		opts = append(opts, nats.Token(o.Token.Reveal()))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile))
	}
	if o.CertFile != "" {
		opts = append(opts, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	return opts, nil
}

// Check returns a health check: is nc connected?
func Check(nc *nats.Conn) func(context.Context) error {
	return func(context.Context) error {
		if s := nc.Status(); s != nats.CONNECTED {
			return fmt.Errorf("%w (%s)", ErrNotConnected, strings.ToLower(s.String()))
		}
		return nil
	}
}

// redactURL hides the passwords in a comma-separated list of URLs.
func redactURL(urls string) string {
	parts := strings.Split(urls, ",")
	for i, p := range parts {
		p = strings.TrimSpace(p)
		u, err := url.Parse(p)
		switch {
		case err == nil && u.User != nil:
			parts[i] = u.Redacted()
			if _, hasPassword := u.User.Password(); !hasPassword { // the user part is then a token
				u.User = url.User("xxxxx")
				parts[i] = u.String()
			}
		case strings.Contains(p, "@"):
			parts[i] = "xxxxx" + p[strings.LastIndex(p, "@"):]
		default:
			parts[i] = p
		}
	}
	return strings.Join(parts, ",")
}
