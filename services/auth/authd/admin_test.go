package authd

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
)

const adminSocket = "gw1.abcdefghijABCDEFGH_-"

// emit says an event in /admin as a gateway passes it on, and returns the ack's only argument.
func (c client) emit(event, by string, args ...string) map[string]json.RawMessage {
	c.t.Helper()
	subject, err := contract.Subjects{}.On("/admin", event, adminSocket)
	if err != nil {
		c.t.Fatal(err)
	}
	msg := nats.NewMsg(subject)
	msg.Header.Set(contract.HeaderSocket, adminSocket)
	msg.Header.Set(contract.HeaderUser, by)
	msg.Data = []byte(`[` + strings.Join(append([]string{fmt.Sprintf("%q", event)}, args...), ",") + `]`)
	reply, err := c.RequestMsg(msg, 15*time.Second)
	if err != nil {
		c.t.Fatalf("%s: %v", msg.Data, err)
	}
	var ack []map[string]json.RawMessage
	if err := json.Unmarshal(reply.Data, &ack); err != nil || len(ack) != 1 {
		c.t.Fatalf("%s: the ack is %s", msg.Data, reply.Data)
	}
	return ack[0]
}

// gateway answers natter.list of a namespace with what a gateway would say.
func (c client) gateway(namespace string, sockets ...contract.SocketInfo) {
	c.t.Helper()
	subject, err := contract.Subjects{}.To(contract.List, namespace, contract.All())
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = c.Subscribe(subject, func(m *nats.Msg) {
		answer := nats.NewMsg(m.Reply)
		answer.Header.Set(contract.HeaderGateway, "gw1")
		answer.Header.Set(contract.HeaderGateways, "1")
		answer.Data, _ = json.Marshal(sockets)
		_ = c.PublishMsg(answer)
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestAdminNamespace(t *testing.T) {
	server := natstest.Run(t)
	start(t, server)
	c := newClient(t, server)
	js, err := jetstream.New(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.emit("list sockets", "u_boss"); string(got["ok"]) != "true" || string(got["sockets"]) != "[]" || string(got["complete"]) != "true" {
		t.Errorf("list sockets before the first gateway: %s", got)
	}
	storage := provision.Storage{Replicas: 1, MaxBytes: -1}
	kv, err := provision.Namespaces(t.Context(), js, contract.Subjects{}, storage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Main(t.Context(), js, contract.Subjects{}, time.Hour, time.Minute, storage); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"_", "admin"} {
		if _, err := kv.PutString(t.Context(), token, "{}"); err != nil {
			t.Fatal(err)
		}
	}
	live, err := c.SubscribeSync("natter.live.>")
	if err != nil {
		t.Fatal(err)
	}

	ack := c.emit("create user", "u_boss", `{"name":"Alice","password":"password1","roles":["admin"]}`)
	var alice user
	if err := json.Unmarshal(ack["user"], &alice); err != nil || string(ack["ok"]) != "true" || alice.Name != "Alice" || alice.ID == "" {
		t.Fatalf("create user: %s, %v", ack, err)
	}
	ack = c.emit("list users", "u_boss")
	var listed []user
	if err := json.Unmarshal(ack["users"], &listed); err != nil || len(listed) != 2 || listed[1].ID != alice.ID {
		t.Errorf("list users: %s, %v", ack, err)
	}

	c.gateway("/", contract.SocketInfo{ID: "gw1.bbbbbbbbbbbbbbbbbbbb", User: alice.ID, Name: "Alice", Rooms: []string{"red"},
		Handshake: contract.Handshake{Address: "192.0.2.1:5000", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}, contract.SocketInfo{ID: "gw1.aaaaaaaaaaaaaaaaaaaa"})
	c.gateway("/admin")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	ack = c.emit("list sockets", "u_boss")
	want := `[{"namespace":"/","id":"gw1.aaaaaaaaaaaaaaaaaaaa","rooms":[],"address":"","connected":"0001-01-01T00:00:00Z"},` +
		`{"namespace":"/","id":"gw1.bbbbbbbbbbbbbbbbbbbb","user":"` + alice.ID + `","name":"Alice","rooms":["red"],"address":"192.0.2.1:5000","connected":"2026-01-02T03:04:05Z"}]`
	if string(ack["sockets"]) != want || string(ack["complete"]) != "true" {
		t.Errorf("list sockets: %s\nwant %s", ack, want)
	}
	// A namespace for which nobody answers: what is there is told, and that something is missing.
	if _, err := kv.PutString(t.Context(), "quiet", "{}"); err != nil {
		t.Fatal(err)
	}
	if ack = c.emit("list sockets", "u_boss"); string(ack["sockets"]) != want || string(ack["complete"]) != "false" {
		t.Errorf("list sockets with a silent namespace: %s", ack)
	}

	if ack = c.emit("disconnect socket", "u_boss", `{"namespace":"/","id":"gw1.bbbbbbbbbbbbbbbbbbbb"}`); string(ack["ok"]) != "true" {
		t.Errorf("disconnect socket: %s", ack)
	}
	msg, err := live.NextMsg(5 * time.Second)
	if err != nil || msg.Subject != "natter.live._.socket.gw1.bbbbbbbbbbbbbbbbbbbb" || string(msg.Data) != `["disconnect",true]` || msg.Header.Get(contract.HeaderUser) != "u_boss" {
		t.Errorf("the order to disconnect: %+v, %v", msg, err)
	}
	facts, err := c.SubscribeSync("natter.event.user.deleted")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if ack = c.emit("delete user", "u_boss", `"`+alice.ID+`"`); string(ack["ok"]) != "true" {
		t.Errorf("delete user: %s", ack)
	}
	var fact contract.UserDeleted
	if msg, err := facts.NextMsg(5 * time.Second); err != nil || json.Unmarshal(msg.Data, &fact) != nil || fact.By != "u_boss" || fact.User != alice.ID {
		t.Errorf("the fact: %+v, %v", fact, err)
	}

	for _, bad := range []struct{ event, args, code string }{
		{"list users", `1`, "invalid"},
		{"list sockets", `{}`, "invalid"},
		{"create user", ``, "invalid"},
		{"create user", `"Alice"`, "invalid"},
		{"create user", `{"name":"x","password":"short"}`, "invalid"},
		{"create user", `{"name":"x","password":"password1","admin":true}`, "invalid"},
		{"create user", `{"name":"admin","password":"password1"}`, "conflict"},
		{"delete user", ``, "invalid"},
		{"delete user", `{"id":"x"}`, "invalid"},
		{"delete user", `"u_nobody"`, "not_found"},
		{"delete user", `"` + listed[0].ID + `"`, "conflict"},
		{"disconnect socket", ``, "invalid"},
		{"disconnect socket", `{"namespace":"/","id":"x"}`, "invalid"},
		{"disconnect socket", `{"namespace":"/nowhere","id":"gw1.bbbbbbbbbbbbbbbbbbbb"}`, "not_found"},
	} {
		var args []string
		if bad.args != "" {
			args = append(args, bad.args)
		}
		if ack := c.emit(bad.event, "u_boss", args...); string(ack["ok"]) != "false" || string(ack["code"]) != `"`+bad.code+`"` || len(ack["message"]) < 5 {
			t.Errorf("%s %s: %s; want %s", bad.event, bad.args, ack, bad.code)
		}
	}
}
