package main

import (
	"fmt"
	"io"
	"net"
	"strings"
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
	signIn := "admin, with the password that the first start printed or --admin-password gave (--reset-admin makes a new one)"
	if h.initial != "" {
		signIn = fmt.Sprintf("%s, password %s   (shown this once)", h.name, h.initial)
	}
	text := withChat
	if !h.chat {
		text = withoutChat
	}
	// In one write, so that who reads along sees all of it.
	fmt.Fprint(w, strings.NewReplacer("DATA", h.data, "PAGE", page, "SIGN IN", signIn, "NATS-CLI", nats, "NATS-URL", natsURL).Replace(text))
}

const (
	withChat = `
  Natter is running. Ctrl-C stops it; what was said stays in DATA.

  Chat        PAGE
  Tutorial    PAGE/tutorial/
  Admin       PAGE/admin/
  Sign in as  SIGN IN

  Watch what browsers hear, in another terminal:
    NATS-CLI sub 'natter.live.>'
  Say something; it appears in the browser:
    NATS-CLI pub natter.post._.room.lobby '["room message","lobby","hello from NATS"]'
` + theEnd
	withoutChat = `
  Natter is running. Ctrl-C stops it; what was said stays in DATA.

  Clients     io("PAGE"): the namespace / is yours
  Admin       PAGE/admin/
  Sign in as  SIGN IN

  Watch what clients say, in another terminal:
    NATS-CLI sub 'natter.on.>'
  Answer the event hello of every client, socket.emit("hello", ack):
    NATS-CLI reply 'natter.on._.hello.>' '["hi"]'
` + theEnd
	theEnd = `
  No nats command? make nats builds .tools/nats.
  In this mode anybody on this machine can speak on NATS-URL.

`
)

// rescue tells the password of the first admin if the start failed before print could: it is told once.
func (h *hint) rescue(w io.Writer) {
	if h.initial != "" && !h.said {
		fmt.Fprintf(w, "\n  The account %s was made: its password is %s   (shown this once)\n\n", h.name, h.initial)
	}
}
