package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
)

const (
	patience = 20 * time.Second
	socket   = "gw1.AAAAAAAAAAAAAAAAAAAA"
)

// TestDice builds the program, runs it, and says on the contract's subjects what a gateway would say.
func TestDice(t *testing.T) {
	srv := natstest.Run(t)
	nc := srv.Connect(t)
	kv := provisioned(t, nc)
	run(t, srv.URL())
	registered(t, kv)
	said := make(chan *nats.Msg, 8)
	for _, subject := range []string{"natter.do.dice.>", "natter.emit.dice.>"} {
		_, err := nc.ChanSubscribe(subject, said)
		must(t, err)
	}
	if ack := request(t, nc, "sit", `["sit","green"]`); ack != `["welcome"]` {
		t.Errorf("sit: %s", ack)
	}
	if got := next(t, said); got != `natter.do.dice.socket.`+socket+` ["join","table:green"]` {
		t.Errorf("sit published %s", got)
	}
	ack := request(t, nc, "roll", `["roll","green",3]`)
	var rolled [][]int
	if err := json.Unmarshal([]byte(ack), &rolled); err != nil || len(rolled) != 1 || len(rolled[0]) != 3 {
		t.Errorf("roll: %s: %v", ack, err)
	}
	if got := next(t, said); got != `natter.emit.dice.room.table=3Agreen ["rolled","`+socket+`",`+ack[1:] {
		t.Errorf("roll published %s, acked %s", got, ack)
	}
	if ack := request(t, nc, "roll", `["roll","green",11]`); ack != `[{"ok":false,"code":"forbidden","message":"roll 1 to 10 dice"}]` {
		t.Errorf("eleven dice: %s", ack)
	}
}

// run builds and starts the program, and ends it as an operator would.
func run(t *testing.T, url string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "dice")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "NATS_URL="+url)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			must(t, err)
		case <-time.After(patience):
			t.Error("the program does not end")
			_ = cmd.Process.Kill()
		}
	})
}

// provisioned makes what a gateway makes.
func provisioned(t *testing.T, nc *nats.Conn) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(nc)
	must(t, err)
	storage := provision.Storage{Replicas: 1, MaxBytes: -1}
	_, err = provision.Main(t.Context(), js, contract.Subjects{}, time.Hour, time.Minute, storage)
	must(t, err)
	kv, err := provision.Namespaces(t.Context(), js, contract.Subjects{}, storage)
	must(t, err)
	return kv
}

// registered waits until the program has made its namespace known.
func registered(t *testing.T, kv jetstream.KeyValue) {
	t.Helper()
	watch, err := kv.Watch(t.Context(), "dice")
	must(t, err)
	defer watch.Stop() //nolint:errcheck // ends with the connection anyway
	for timeout := time.After(patience); ; {
		select {
		case entry := <-watch.Updates():
			if entry != nil {
				return
			}
		case <-timeout:
			t.Fatal("the namespace was not registered")
		}
	}
}

func request(t *testing.T, nc *nats.Conn, event, payload string) string {
	t.Helper()
	reply, err := nc.Request("natter.on.dice."+event+"."+socket, []byte(payload), patience)
	must(t, err)
	return string(reply.Data)
}

func next(t *testing.T, said <-chan *nats.Msg) string {
	t.Helper()
	select {
	case msg := <-said:
		return msg.Subject + " " + string(msg.Data)
	case <-time.After(patience):
		t.Fatal("nothing was published")
		return ""
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
