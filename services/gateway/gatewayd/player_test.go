package gatewayd_test

import (
	"bufio"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// player plays a script against gateways. It is the client, and it keeps no rules.
type player struct {
	place
	script  script
	valid   bool   // the script must play to its end
	msgpack bool   // a step is in its words
	polls   string // the query of polls that no step asks for

	polling bool // awaiting polls
	reading sync.WaitGroup

	mu       sync.Mutex
	conns    []net.Conn
	ws       net.Conn      // the newest WebSocket
	stream   net.Conn      // the newest stream
	known    known         // of what came
	waiting  int           // polls without an answer
	received []string      // packets that nobody awaited yet
	arrived  chan struct{} // closed and made anew whenever something comes
	failure  error         // what the gateway did wrong
}

const (
	// curiosity is how long a mutated script waits for what may never come.
	curiosity = 150 * time.Millisecond
	// boredom is how long it waits once it has waited in vain.
	boredom = 2 * time.Millisecond
)

// place is where scripts are played.
type place struct {
	addresses []string          // of the gateways
	trusted   *x509.Certificate // of those that serve WebTransport
}

// play plays the script and returns what the gateway did wrong. When it returns, no goroutine of it is left.
func play(there place, s session) error {
	p := &player{place: there, script: s.script, valid: len(s.mutations) == 0, arrived: make(chan struct{}), polls: pollSID}
	p.msgpack = slices.ContainsFunc(s.script, func(st step) bool { return st.words })
	err := p.steps()
	p.hangUp()
	p.reading.Wait()
	return errors.Join(err, p.failure)
}

func (p *player) steps() error {
	hope := curiosity
	for i, st := range p.script {
		var err error
		switch st.do {
		case doGet:
			err = p.get(st)
		case doPost:
			err = p.post(st)
		case doDial:
			err = p.dial(st)
		case doFrame:
			err = p.frame(st)
		case doAwait:
			limit := hope
			if p.valid {
				limit = patience
			}
			if err = p.await(st, limit); err != nil {
				hope = boredom
			}
		case doStream:
			err = p.open(st)
		case doPacket:
			err = p.say(st)
		case doHangUp:
			p.hangUp()
		case doAfresh:
			p.hangUp()
			p.forget()
		}
		if err != nil && (p.valid || errors.Is(err, errSilence)) {
			return fmt.Errorf("step %d, %s: %w", i, st.do, err)
		}
	}
	return nil
}

var (
	errSilence = errors.New("the gateway does not answer")
	errAwaited = errors.New("awaited in vain")
	errRefused = errors.New("refused")
	errNoWS    = errors.New("there is no WebSocket, or no stream")
)

// read takes what a WebSocket brings, until its end.
func (p *player) read(r *bufio.Reader) {
	for {
		op, data, err := readMessage(r)
		if errors.Is(err, errServerFrame) {
			p.mu.Lock()
			p.failure = errors.Join(p.failure, err)
			p.mu.Unlock()
		}
		if err != nil || op == opClose {
			p.take(fmt.Sprintf("(the WebSocket ended: %v %q)", err, data))
			return
		}
		if op == opBinary && p.msgpack {
			p.take(plain(data))
		} else if op == opText {
			p.take(string(data))
		}
	}
}

func (p *player) frame(st step) error {
	p.mu.Lock()
	conn := p.ws
	p.mu.Unlock()
	if conn == nil {
		return errNoWS
	}
	if st.data == "5" {
		p.polling = false
	}
	data, binary := p.spell(st)
	op := byte(opText)
	if binary {
		op = opBinary
	}
	return write(conn, message(op, data, st.fault), st.fault)
}

// take notes packets that came.
func (p *player) take(packets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, packet := range packets {
		p.received = append(p.received, packet)
		p.known.note(packet)
	}
	close(p.arrived)
	p.arrived = make(chan struct{})
}

// await waits for a packet, and polls for it if nothing else does.
func (p *player) await(st step, limit time.Duration) error {
	late := time.After(limit)
	want := p.fill(st.data)
	for {
		arrived, waiting := p.state()
		if p.find(want) {
			return nil
		}
		if p.valid && p.find("2") {
			if err := p.pong(st); err != nil {
				return err
			}
		}
		if p.polling && waiting == 0 {
			if err := p.get(step{do: doGet, at: st.at, query: p.polls}); err != nil {
				return err
			}
		}
		select {
		case <-arrived:
		case <-late:
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Errorf("%w: %s; came: %.500q", errAwaited, want, p.received)
		}
	}
}

// find takes out a packet that came, by its beginning.
func (p *player) find(beginning string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.received, func(packet string) bool { return strings.HasPrefix(packet, beginning) })
	if i >= 0 {
		p.received = slices.Delete(p.received, i, i+1)
	}
	return i >= 0
}

// state returns what is closed when something comes, and how many polls have no answer.
func (p *player) state() (arrived <-chan struct{}, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrived, p.waiting
}

// pong answers a ping.
func (p *player) pong(st step) error {
	if p.polling {
		return p.post(step{do: doPost, at: st.at, query: p.polls, data: "3"})
	}
	if p.stream != nil {
		return p.say(step{do: doPacket, data: "3"})
	}
	return p.frame(step{do: doFrame, data: "3"})
}

// hangUp closes all network connections.
func (p *player) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns, p.ws, p.stream, p.polling = nil, nil, nil, false
}

// forget forgets the session, but not the socket.
func (p *player) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known.sid, p.received = "", nil
}

// fill puts in what is known.
func (p *player) fill(text string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.fill(text)
}
