package gatewayd_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/natter-io/natter/pkg/engineio"
)

// player plays a script against gateways. It is the client, and it keeps no rules.
type player struct {
	addresses []string
	script    script
	valid     bool // the script must play to its end

	sid     string
	polling bool // awaiting polls
	reading sync.WaitGroup

	mu       sync.Mutex
	conns    []net.Conn
	ws       net.Conn      // the newest WebSocket
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

// play plays the script and returns what the gateway did wrong. When it returns, no goroutine of it is left.
func play(addresses []string, s session) error {
	p := &player{addresses: addresses, script: s.script, valid: len(s.mutations) == 0, arrived: make(chan struct{})}
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
		case doHangUp:
			p.hangUp()
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
	errNoWS    = errors.New("there is no WebSocket")
)

// connect opens a network connection to the gateway of a step.
func (p *player) connect(st step) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", p.addresses[st.at%len(p.addresses)], patience)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSilence, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
	return conn, nil
}

// ask sends the request of a step.
func (p *player) ask(st step, method, extra, body string) (net.Conn, error) {
	if st.method != "" {
		method = st.method
	}
	conn, err := p.connect(st)
	if err != nil {
		return nil, err
	}
	path := "/socket.io/?" + strings.ReplaceAll(st.query, "{sid}", p.session())
	return conn, write(conn, request(method, path, "a.example", extra, body, st.fault), st.fault)
}

// answer reads an answer. A request without faults must get one.
func (p *player) answer(conn net.Conn, r *bufio.Reader, st step) (string, error) {
	if err := conn.SetReadDeadline(time.Now().Add(p.limit(st))); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(r, nil)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && !st.spoilt() {
		return "", fmt.Errorf("%w: %w", errSilence, err)
	}
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("%w: %s %.80s", errRefused, res.Status, data)
	}
	return string(data), err
}

func (p *player) limit(st step) time.Duration {
	if st.spoilt() {
		return curiosity
	}
	return patience
}

// spoilt says whether a request may be none, so that nobody has to answer it.
func (st step) spoilt() bool {
	return !st.fault.none() || strings.ContainsAny(st.query+st.method, "\r\n") || st.method == http.MethodHead
}

func (p *player) get(st step) error {
	conn, err := p.ask(st, http.MethodGet, "", "")
	if err != nil {
		return err
	}
	if strings.Contains(st.query, "{sid}") {
		p.poll(conn, st)
		return nil
	}
	body, err := p.answer(conn, bufio.NewReader(conn), st)
	if err != nil {
		return err
	}
	p.polling = true
	p.take(strings.Split(body, "\x1e")...)
	return conn.Close()
}

// poll reads a poll's answer in the background.
func (p *player) poll(conn net.Conn, st step) {
	p.mu.Lock()
	p.waiting++
	p.mu.Unlock()
	p.reading.Go(func() {
		body, err := p.answer(conn, bufio.NewReader(conn), st)
		conn.Close()
		p.mu.Lock()
		p.waiting--
		if errors.Is(err, errSilence) {
			p.failure = errors.Join(p.failure, err)
		}
		p.mu.Unlock()
		if err == nil {
			p.take(strings.Split(body, "\x1e")...)
		} else {
			p.take()
		}
	})
}

func (p *player) post(st step) error {
	conn, err := p.ask(st, http.MethodPost, "", st.data)
	if err != nil {
		return err
	}
	_, err = p.answer(conn, bufio.NewReader(conn), st)
	return errors.Join(err, conn.Close())
}

func (p *player) dial(st step) error {
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	conn, err := p.ask(st, http.MethodGet, upgrade, "")
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.ws = conn
	p.mu.Unlock()
	r := bufio.NewReader(conn)
	if _, err := p.answer(conn, r, st); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	p.reading.Go(func() { p.read(r) })
	return nil
}

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
		if op == opText {
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
	op := byte(opText)
	if st.binary {
		op = opBinary
	}
	return write(conn, message(op, st.data, st.fault), st.fault)
}

// take notes packets that came.
func (p *player) take(packets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, packet := range packets {
		p.received = append(p.received, packet)
		if p.sid == "" && strings.HasPrefix(packet, "0") {
			if h, err := engineio.DecodeOpen([]byte(packet[1:])); err == nil {
				p.sid = h.SID
			}
		}
	}
	close(p.arrived)
	p.arrived = make(chan struct{})
}

// await waits for a packet, and polls for it if nothing else does.
func (p *player) await(st step, limit time.Duration) error {
	late := time.After(limit)
	for {
		p.mu.Lock()
		for i, packet := range p.received {
			if strings.HasPrefix(packet, st.data) {
				p.received = append(p.received[:i], p.received[i+1:]...)
				p.mu.Unlock()
				return nil
			}
		}
		arrived, waiting := p.arrived, p.waiting
		p.mu.Unlock()
		if p.polling && waiting == 0 {
			if err := p.get(step{do: doGet, at: st.at, query: pollSID}); err != nil {
				return err
			}
		}
		select {
		case <-arrived:
		case <-late:
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Errorf("%w: %s; came: %.500q", errAwaited, st.data, p.received)
		}
	}
}

// hangUp closes all network connections.
func (p *player) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns, p.ws, p.polling = nil, nil, false
}

// session is the session's id, "" before it is known.
func (p *player) session() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sid
}
