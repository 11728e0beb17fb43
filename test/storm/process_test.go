package storm

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// process is one of the programs.
type process struct {
	t       testing.TB
	cmd     *exec.Cmd
	address string
	out     *bufio.Scanner // what it prints after its address
	over    bool
}

// launch starts a program in a role and waits until it says where it is.
func launch(t testing.TB, role string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, profileVariable+"="+*profile)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd}
	t.Cleanup(p.stop)
	p.out = bufio.NewScanner(out)
	if !p.out.Scan() {
		t.Fatalf("%s does not say where it is: %v", role, p.out.Err())
	}
	p.address = p.out.Text()
	return p
}

// kill is kill -9.
func (p *process) kill() {
	p.over = true
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // it was killed
}

func (p *process) stop() {
	if p.over {
		return
	}
	p.over = true
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it has ended by itself if this fails
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%v: %v", p.cmd.Args, err)
	}
}

// cpu is the processor time that the process has had; 0 where /proc does not tell.
func (p *process) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime: proc(5)
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}
