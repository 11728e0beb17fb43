package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/auth/internal/login"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startTest(t *testing.T, server *natstest.Server, endpoints ...endpoint) *Service {
	t.Helper()
	nc := server.Connect(t)
	s, err := start(nc, endpoints, slog.New(slog.DiscardHandler), newMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

func stopTest(t *testing.T, s *Service, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return s.Stop(ctx)
}

// codeOf is the code of a refusal, or "ok".
func codeOf(t *testing.T, msg *nats.Msg) string {
	t.Helper()
	var r contract.Refusal
	if err := json.Unmarshal(msg.Data, &r); err != nil {
		t.Fatalf("%q: %v", msg.Data, err)
	}
	if r.OK {
		return "ok"
	}
	return r.Code
}

// One request is worked on, one waits, and a third is refused, or not answered where silence is better.
func TestOverload(t *testing.T) {
	server := natstest.Run(t)
	for _, silent := range []bool{false, true} {
		begun, free := make(chan struct{}, 2), make(chan struct{})
		s := startTest(t, server, endpoint{name: "x", subject: "test.x", workers: 1, queue: 1, timeout: time.Minute, silent: silent,
			answer: func(context.Context, micro.Request) (any, error) {
				begun <- struct{}{}
				<-free
				return Done{OK: true}, nil
			}})
		client := server.Connect(t)
		inbox := client.NewInbox()
		replies, err := client.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		send := func() {
			t.Helper()
			if err := errors.Join(client.PublishRequest("test.x", inbox, nil), client.Flush()); err != nil {
				t.Fatal(err)
			}
		}
		send()
		<-begun // the worker has it; now one fits into the queue
		send()
		send()
		if silent {
			if msg, err := replies.NextMsg(300 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
				t.Errorf("silent: %v, %v; want no answer", msg, err)
			}
		} else if msg, err := replies.NextMsg(5 * time.Second); err != nil || codeOf(t, msg) != contract.CodeUnavailable {
			t.Errorf("the third request: %v, %v; want unavailable", msg, err)
		}
		close(free)
		for range 2 {
			if msg, err := replies.NextMsg(5 * time.Second); err != nil || codeOf(t, msg) != "ok" {
				t.Errorf("a request in time: %v, %v", msg, err)
			}
		}
		if err := stopTest(t, s, 5*time.Second); err != nil {
			t.Error(err)
		}
	}
}

func TestErrorsAreTold(t *testing.T) {
	server := natstest.Run(t)
	fails := func(err error) func(context.Context, micro.Request) (any, error) {
		return func(context.Context, micro.Request) (any, error) { return nil, err }
	}
	base := endpoint{workers: 1, queue: 1, timeout: time.Minute}
	plain, ack, secret := base, base, base
	plain.name, plain.subject, plain.answer = "plain", "test.plain", fails(&login.RateError{Wait: 3 * time.Second})
	ack.name, ack.subject, ack.answer, ack.ack = "ack", "test.ack", fails(login.ErrWrong), true
	secret.name, secret.subject, secret.answer = "secret", "test.secret", fails(errors.New("the disk of node 7 is full"))
	s := startTest(t, server, plain, ack, secret)
	client := server.Connect(t)
	for subject, want := range map[string]string{
		"test.plain":  `{"ok":false,"code":"rate_limited","message":"too many attempts to sign in: try again in 4 s"}`,
		"test.ack":    `[{"ok":false,"code":"unauthorized","message":"wrong name or password"}]`,
		"test.secret": `{"ok":false,"code":"unavailable","message":"this cannot be done at the moment: try again"}`,
	} {
		if msg, err := client.Request(subject, nil, 5*time.Second); err != nil || string(msg.Data) != want {
			t.Errorf("%s: %v, %v; want %s", subject, msg, err, want)
		}
	}
	if err := stopTest(t, s, 5*time.Second); err != nil {
		t.Error(err)
	}
}

// Workers answer while micro still notes that the handler has returned: they share nothing with it.
func TestErrorsOfManyRequests(t *testing.T) {
	server := natstest.Run(t)
	const many = 3000
	s := startTest(t, server, endpoint{name: "x", subject: "test.x", workers: 4, queue: 8, timeout: time.Minute,
		answer: func(context.Context, micro.Request) (any, error) { return nil, login.ErrWrong }})
	client := server.Connect(t)
	for range many {
		msg, err := client.Request("test.x", nil, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if h := msg.Header; h.Get("Nats-Service-Error-Code") != "401" || h.Get("Nats-Service-Error") != "wrong name or password" || codeOf(t, msg) != contract.CodeUnauthorized {
			t.Fatalf("a refusal: %v %s", h, msg.Data)
		}
	}
	if err := stopTest(t, s, 5*time.Second); err != nil {
		t.Error(err)
	}
}

// A stop that cannot wait longer says so, cancels what runs and leaves nothing behind.
func TestStopHasAnEnd(t *testing.T) {
	server := natstest.Run(t)
	begun := make(chan struct{})
	s := startTest(t, server, endpoint{name: "x", subject: "test.x", workers: 1, queue: 8, timeout: time.Minute,
		answer: func(ctx context.Context, _ micro.Request) (any, error) {
			close(begun)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}})
	client := server.Connect(t)
	for range 3 {
		if err := client.PublishRequest("test.x", "nobody", nil); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	if err := stopTest(t, s, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v; want the context's end", err)
	}
}
