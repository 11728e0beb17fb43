package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/natstest"
)

// The program prints the first administrator's password once, to standard output alone, and ends in order.
func TestProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "auth")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	server := natstest.Run(t)
	client := server.Connect(t)
	password := regexp.MustCompile(`Sign in as admin with the password ([A-Z2-7]{26})\n`)
	var shown []byte
	for start := range 2 {
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(program, "--nats-url="+server.URL(), "--health-listen=", "--log-level=debug")
		cmd.Env = append(os.Environ(), "NATTER_AUTH_TOKEN_LIFETIME=1h")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			if _, err := client.Request("natter.auth.users", nil, time.Second); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Error("the program does not answer")
				break
			}
			time.Sleep(10 * time.Millisecond) // no responders comes at once
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program ended with %v\n%s", err, &stderr)
		}
		switch found := password.FindAllSubmatch(stdout.Bytes(), -1); {
		case start == 0 && len(found) == 1:
			shown = found[0][1]
		case start == 0:
			t.Fatalf("at the first start it prints %q", &stdout)
		case stdout.Len() > 0:
			t.Errorf("at the second start it prints %q", &stdout)
		}
		if bytes.Contains(stderr.Bytes(), shown) {
			t.Errorf("the password stands in the log:\n%s", &stderr)
		}
	}
}
