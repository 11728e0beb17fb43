//go:build unix

package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const helperMode = "NATTER_TEST_RUN_MODE"

// TestMain is also the program that the tests send signals to.
func TestMain(m *testing.M) {
	mode := os.Getenv(helperMode)
	if mode == "" {
		goleak.VerifyTestMain(m)
	}
	Main(slog.New(slog.NewTextHandler(os.Stderr, nil)), func(ctx context.Context) error {
		if mode == "fail" {
			return errors.New("boom")
		}
		fmt.Println("running")
		<-ctx.Done()
		fmt.Println("stopping:", context.Cause(ctx))
		if mode == "hang" {
			select {}
		}
		return nil
	})
	fmt.Println("ended")
}

// program is a copy of this test binary that runs Main.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	errs  strings.Builder
}

func startProgram(t *testing.T, mode string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), helperMode+"="+mode)
	p.cmd.Stderr = &p.errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	t.Cleanup(func() { guard.Stop() })
	return p
}

func (p *program) line(want string) {
	p.t.Helper()
	if !p.lines.Scan() || p.lines.Text() != want {
		p.t.Fatalf("got %q, want %q; standard error: %s", p.lines.Text(), want, p.errs.String())
	}
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) status(want int) {
	p.t.Helper()
	for p.lines.Scan() {
	}
	err := p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		p.t.Errorf("status %d (%v), want %d; standard error: %s", got, err, want, p.errs.String())
	}
}

func TestSignalStopsGracefully(t *testing.T) {
	t.Parallel()
	for sig, name := range map[syscall.Signal]string{syscall.SIGTERM: "terminated", syscall.SIGINT: "interrupt"} {
		p := startProgram(t, "serve")
		p.line("running")
		p.signal(sig)
		p.line("stopping: signal: " + name)
		p.line("ended")
		p.status(0)
	}
}

func TestSecondSignalExitsAtOnce(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "hang")
	p.line("running")
	p.signal(syscall.SIGTERM)
	p.line("stopping: signal: terminated")
	p.signal(syscall.SIGINT)
	p.status(exitInterrupted)
}

func TestMainReportsFailure(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "fail")
	p.status(1)
	if !strings.Contains(p.errs.String(), "error=boom") {
		t.Errorf("standard error: %s", p.errs.String())
	}
}

func TestStopGivesSignalsBack(t *testing.T) {
	ctx, stop := Signals(t.Context(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	stop()
	if ctx.Err() == nil {
		t.Error("the context goes on after stop")
	}
}
