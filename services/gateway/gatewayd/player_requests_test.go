package gatewayd_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
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
	path := "/socket.io/?" + p.fill(st.query)
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
	if p.polling, p.polls = true, pollSID; strings.Contains(st.query, poll3) {
		p.polls = poll3SID
	}
	p.take(p.payload(st, body)...)
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
			p.take(p.payload(st, body)...)
		} else {
			p.take()
		}
	})
}

func (p *player) post(st step) error {
	data, binary := p.spell(st)
	if binary && st.words {
		data = "b" + base64.StdEncoding.EncodeToString([]byte(data))
	}
	conn, err := p.ask(st, http.MethodPost, "", data)
	if err != nil {
		return err
	}
	_, err = p.answer(conn, bufio.NewReader(conn), st)
	return errors.Join(err, conn.Close())
}

func (p *player) dial(st step) error {
	conn, err := p.ask(st, http.MethodGet, upgradeFields, "")
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
