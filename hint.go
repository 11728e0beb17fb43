package main

import (
	"fmt"
	"io"
	"net"
)

// hint tells the person who started Natter what to do next.
type hint struct {
	data          string
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
	fmt.Fprintf(w, `
  Natter is running. Ctrl-C stops it; what was said stays in %[1]s.

  Chat        %[2]s
  Tutorial    %[2]s/tutorial/
  Admin       %[2]s/admin/
  Sign in as  %[3]s

  Watch what browsers hear, in another terminal:
    %[4]s sub 'natter.live.>'
  Say something; it appears in the browser:
    %[4]s pub natter.post._.room.lobby '["room message","lobby","hello from NATS"]'

  No nats command? make nats builds .tools/nats.
  In this mode anybody on this machine can speak on %[5]s.

`, h.data, page, signIn, nats, natsURL)
}

// rescue tells the password of the first admin if the start failed before print could: it is told once.
func (h *hint) rescue(w io.Writer) {
	if h.initial != "" && !h.said {
		fmt.Fprintf(w, "\n  The account %s was made: its password is %s   (shown this once)\n\n", h.name, h.initial)
	}
}
