//go:build unix

package gatewayd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// processVariable names the NATS server of which this process is a gateway.
const processVariable = "NATTER_TEST_GATEWAY"

func init() {
	if url := os.Getenv(processVariable); url != "" {
		serveProcess(url)
	}
}

// serveProcess is a gateway that says where it is, until its input ends.
func serveProcess(url string) {
	var cfg gatewayd.Config
	args := []string{"--listen=127.0.0.1:0", "--health-listen=", "--nats-url=" + url, "--lease=1s", "--no-serve-client"}
	err := config.Load(gatewayd.Name, gatewayd.About, args, &cfg, config.Environ(nil))
	if err != nil {
		panic(err)
	}
	s, err := gatewayd.New(cfg, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		panic(err)
	}
	go func() { panic(s.Run(context.Background())) }()
	if err := s.Ready(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(s.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// process is a gateway in a process of its own, with a lease of a second, and the main namespace's default rules.
func (d *deployment) process() (*gateway, *os.Process) {
	d.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processVariable+"="+d.nats.URL())
	cmd.Stderr = d.t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		in.Close() //nolint:errcheck // it is killed
		if err := cmd.Process.Kill(); err != nil {
			d.t.Error(err)
		}
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		d.t.Fatalf("the gateway does not say where it is: %v", err)
	}
	return &gateway{t: d.t, d: d, mounted: strings.TrimSpace(line), keeps: true}, cmd.Process
}

// A gateway is stopped for longer than its lease. Its clients say something, and go on at another one; then it goes on, too, and finds
// what they said, and that they have left.
func TestGatewayThatStoodStillTakesNothingBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	home, stopped := d.process()
	other := d.gateway(func(c *gatewayd.Config) { c.Lease = time.Second })
	other.awaitPeers(2)
	heard := d.listen("natter.on._.*.>")
	const clients = 8
	lives := make(map[string][]string)
	var sockets []*socket
	var pids, want []string
	for range clients {
		s, pid := home.connectKept("/", "")
		sockets, pids = append(sockets, s), append(pids, pid)
	}
	stays, _ := home.connectKept("/", "")
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(stopped.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("not stopped: %v, %v", status, err)
	}
	since := time.Now()
	for _, s := range sockets {
		s.emit(`"chat message"`, `"unread"`)
		s.close()
	}
	other.awaitPeers(1)
	for i, s := range sockets {
		again := other.dial().ask("/", fmt.Sprintf(`{"pid":%q}`, pids[i]))
		if again.kept() != pids[i] {
			t.Fatal("did not go on")
		}
		again.request(`"chat message"`, quote(s.id))
		want = append(want, fmt.Sprintf(`["chat message",%q]`, s.id))
	}
	stays.emit(`"chat message"`, `"unread"`)
	wait(t, "the end of its lease", func() bool { return time.Since(since) > 1100*time.Millisecond })
	if err := stopped.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	after, _ := home.connectKept("/", "")
	after.request(`"chat message"`, `"after"`)
	d.wantStored(append(want, `["chat message","after"]`)...)
	stays.wantOver()
	after.emit(`"after"`)
	for {
		p, err := contract.Subjects{}.Parse(recv(t, "what services hear", heard).Subject)
		if err != nil {
			t.Fatal(err)
		}
		if p.Event == "after" {
			break
		}
		lives[p.Socket] = append(lives[p.Socket], p.Event)
	}
	for _, s := range sockets {
		if got, want := lives[s.id], []string{"connect", "disconnecting", "disconnect", "connect"}; !slices.Equal(got, want) {
			t.Errorf("of %s services heard %q, want %q", s.id, got, want)
		}
	}
}
