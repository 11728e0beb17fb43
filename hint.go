package main

import (
	"fmt"
	"io"
	"net"
)

// hint tells the person who started Natter what to do next.
type hint struct {
	data          string
	chat          bool   // there is one, and its page
	name, initial string // of the first admin, if this start made it
	said          bool
}

// password notes the first admin's, before print is called.
func (h *hint) password(name, password string) { h.name, h.initial = name, password }

func (h *hint) print(w io.Writer, address, natsURL string) {
	h.said = true
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		port = address
	}
	page := "http://localhost:" + port
	nats := "nats"
	if natsURL != "nats://127.0.0.1:4222" {
		nats += " -s " + natsURL
	}
	signIn := "admin, with the password that the first start printed (--reset-admin makes a new one)"
	if h.initial != "" {
		signIn = fmt.Sprintf("%s, password %s   (shown this once)", h.name, h.initial)
	}
	places, watch, say := chatPlaces, "natter.live.>", `pub natter.post._.room.lobby '["room message","lobby","hello from NATS"]'`
	said := "Say something; it appears in the browser:"
	if !h.chat {
		places, watch, said, say = ownPlaces, "natter.on.>", "Answer the event hello of every client, socket.emit(\"hello\", ack):", `reply 'natter.on._.hello.>' '["hi"]'`
	}
	fmt.Fprintf(w, "\n  Natter is running. Ctrl-C stops it; what was said stays in %s.\n\n", h.data)
	fmt.Fprintf(w, places, page)
	fmt.Fprintf(w, `  Sign in as  %s

  Watch what %s, in another terminal:
    %s sub '%s'
  %s
    %[3]s %[6]s

  No nats command? make nats builds .tools/nats.
  In this mode anybody on this machine can speak on %[7]s.

`, signIn, hearers[h.chat], nats, watch, said, say, natsURL)
}

// The places to go to, with the chat and without.
const (
	chatPlaces = "  Chat        %[1]s\n  Tutorial    %[1]s/tutorial/\n  Admin       %[1]s/admin/\n"
	ownPlaces  = "  Clients     io(\"%[1]s\"): the namespace / is yours\n  Admin       %[1]s/admin/\n"
)

var hearers = map[bool]string{true: "browsers hear", false: "clients say"}

// rescue tells the password of the first admin if the start failed before print could: it is told once.
func (h *hint) rescue(w io.Writer) {
	if h.initial != "" && !h.said {
		fmt.Fprintf(w, "\n  The account %s was made: its password is %s   (shown this once)\n\n", h.name, h.initial)
	}
}
