package sdk

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// Options configure a [Server]. Only Name is required.
type Options struct {
	// Name is the service's name: its queue group, its NATS micro service, and the name under which its
	// middlewares stand in a namespace. A-Z a-z 0-9 _ -.
	Name string
	// Version of the service, as semantic versioning writes it. Default 0.0.0.
	Version string
	// Description is what nats micro info shows.
	Description string
	// Prefix is the first token of all subjects. Default contract.DefaultPrefix.
	Prefix string
	// Workers is how many handlers run at the same time. Default 64.
	Workers int
	// Backlog is how many events may wait for a worker. Default 8192.
	Backlog int
	// HandlerTimeout ends the context of a handler or middleware. Default 30 s.
	HandlerTimeout time.Duration
	// AckTimeout is how long EmitWithAck and FetchSockets wait unless Timeout says otherwise. Default 5 s.
	AckTimeout time.Duration
	// PublishTimeout is how long JetStream may take to confirm what is emitted, posted or done, unless the
	// context ends sooner, and for as long again to say the id of what was posted. Default 12 s, which outlasts the election
	// of a new leader.
	PublishTimeout time.Duration
	// StopTimeout is how long Run waits for running handlers when it ends. Default 10 s.
	StopTimeout time.Duration
	// ErrorDetail is for development: what is otherwise logged alone, and keeps the client waiting, is told to clients too. The
	// error or panic of a handler, or of a middleware for events, is acked as {"ok":false,"code":"internal","message":…}, that
	// of a middleware refuses the client with its message, and an ack that clients wait for and no handler gives is
	// logged. In production errors tell strangers what is inside, and such an ack ends the retries of a client that would
	// have come through.
	ErrorDetail bool
	// NoMicro leaves out the NATS micro service, for a program that announces its own.
	NoMicro bool
	// Log is where the server reports what has no caller to return an error to. Default slog.Default().
	Log *slog.Logger
}

func orDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// complete fills in the defaults and checks the rest.
func (o *Options) complete() (contract.Subjects, error) {
	orDefault(&o.Version, "0.0.0")
	orDefault(&o.Prefix, contract.DefaultPrefix)
	orDefault(&o.Workers, 64)
	orDefault(&o.Backlog, 8192)
	orDefault(&o.HandlerTimeout, 30*time.Second)
	orDefault(&o.AckTimeout, 5*time.Second)
	orDefault(&o.PublishTimeout, 12*time.Second)
	orDefault(&o.StopTimeout, 10*time.Second)
	orDefault(&o.Log, slog.Default())
	if o.Name == "" {
		return contract.Subjects{}, errors.New("options: Name is empty: give the service a name")
	}
	if token, err := contract.EncodeToken(o.Name); err != nil || token != o.Name {
		return contract.Subjects{}, fmt.Errorf("options: Name %q: must be A-Z a-z 0-9 _ -, at most %d of them", o.Name, contract.MaxToken)
	}
	if o.Workers < 0 || o.Backlog < 0 {
		return contract.Subjects{}, fmt.Errorf("options: Workers %d and Backlog %d must not be negative", o.Workers, o.Backlog)
	}
	for name, d := range map[string]time.Duration{
		"HandlerTimeout": o.HandlerTimeout, "AckTimeout": o.AckTimeout, "PublishTimeout": o.PublishTimeout, "StopTimeout": o.StopTimeout,
	} {
		if d < 0 {
			return contract.Subjects{}, fmt.Errorf("options: %s %s must not be negative", name, d)
		}
	}
	subjects, err := contract.NewSubjects(o.Prefix)
	if err != nil {
		return contract.Subjects{}, fmt.Errorf("options: %w", err)
	}
	return subjects, nil
}
