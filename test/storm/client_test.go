package storm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	ws "github.com/gorilla/websocket"
)

// client is a Socket.IO client that checks what it hears: of each room every number once and in order, and offsets
// that only rise.
type client struct {
	storm *storm
	user  string
	rooms []string

	mu      sync.Mutex // guards what follows
	conn    *ws.Conn
	id, pid string
	offset  string
	at      uint64         // the sequence of offset
	heard   map[string]int // the last number, by room
	faults  []string
	gone    time.Time // when the connection broke
	asked   time.Time // when it asked to come back, at last
	back    time.Time // when it was back
	afresh  int       // how often it came back as another socket
}

var dialer = ws.Dialer{ReadBufferSize: 1024, WriteBufferSize: 256, WriteBufferPool: &sync.Pool{}, HandshakeTimeout: patience}

var errBye = errors.New("the client was told to go")

// run connects, and again whenever the connection breaks, with the stock client's waits.
func (c *client) run(ctx context.Context, first string, entered func()) {
	address := first
	for attempt := 0; ctx.Err() == nil; attempt++ {
		started, err := c.live(ctx, address, entered)
		if ctx.Err() != nil {
			return
		}
		if started {
			attempt = 0
			c.mu.Lock()
			c.gone = time.Now()
			c.mu.Unlock()
		}
		c.storm.failures.Add(1)
		if errors.Is(err, errBye) {
			c.fault("%v", err)
			return
		}
		// reconnectionDelay 1 s, doubled up to 5 s, randomizationFactor 0.5.
		wait := min(time.Second<<min(attempt, 3), 5*time.Second)
		wait += time.Duration((rand.Float64() - 0.5) * float64(wait))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		survivors := c.storm.survivors()
		address = survivors[rand.IntN(len(survivors))]
	}
}

// live is one connection's life. It says whether the client got in.
func (c *client) live(ctx context.Context, address string, entered func()) (started bool, err error) {
	conn, _, err := dialer.DialContext(ctx, "ws://"+address+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c.mu.Lock()
	c.conn, c.asked = conn, time.Now()
	auth := map[string]string{"token": c.user}
	if c.pid != "" {
		auth["pid"] = c.pid
	}
	if c.pid != "" && c.offset != "" {
		auth["offset"] = c.offset
	}
	connect, err := json.Marshal(auth)
	c.mu.Unlock()
	if err != nil {
		return false, err
	}
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return started, err
		}
		text := string(data)
		switch {
		case strings.HasPrefix(text, "0{"):
			err = c.send("40" + string(connect))
		case text == "2":
			err = c.send("3")
		case strings.HasPrefix(text, "40{"):
			started = true
			err = c.enter(text[2:], entered)
		case strings.HasPrefix(text, "42["):
			c.event(text[2:], started)
		case strings.HasPrefix(text, "43"): // the ack of a join
			if !strings.HasSuffix(text, `[{"ok":true}]`) {
				err = fmt.Errorf("%w: %s", errBye, text)
			} else if text[2] == byte('0'+len(c.rooms)-2) {
				entered()
			}
		case strings.HasPrefix(text, "44"), strings.HasPrefix(text, "41"):
			err = fmt.Errorf("%w: %s", errBye, text)
		}
		if err != nil {
			return started, err
		}
	}
}

func (c *client) send(text string) error {
	return c.conn.WriteMessage(ws.TextMessage, []byte(text)) // the reader alone writes
}

// enter notes as whom the client is in, and joins its rooms if it is new.
func (c *client) enter(answer string, entered func()) error {
	var a struct{ SID, PID string }
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		return err
	}
	c.mu.Lock()
	recovered := c.pid == a.PID
	if c.pid != "" {
		c.back = time.Now()
	}
	if c.pid != "" && !recovered {
		c.afresh++
	}
	c.id, c.pid = a.SID, a.PID
	c.mu.Unlock()
	if recovered {
		entered()
		return nil
	}
	for i, room := range c.rooms[1:] { // the first is its user's
		if err := c.send(fmt.Sprintf(`42%d["join",%q]`, i, room)); err != nil {
			return err
		}
	}
	return nil
}

// event checks ["n","<room>",<number>,"<offset>"].
func (c *client) event(array string, started bool) {
	parts := strings.Split(strings.Trim(array, "[]"), ",")
	if len(parts) != 4 || parts[0] != `"n"` {
		return // who joined
	}
	room, offset := strings.Trim(parts[1], `"`), strings.Trim(parts[3], `"`)
	number, err := strconv.Atoi(parts[2])
	_, sequence, ok := strings.Cut(offset, "-")
	at, err2 := strconv.ParseUint(sequence, 10, 64)
	if err != nil || err2 != nil || !ok {
		c.fault("heard %s", array)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, known := c.heard[room]; known && number != last+1 {
		c.faultLocked("of %s heard %d after %d", room, number, last)
	}
	if at <= c.at {
		c.faultLocked("the offset %s came after %d", offset, c.at)
	}
	c.heard[room], c.offset, c.at = number, offset, at
	if !started {
		c.faultLocked("heard %s before CONNECT was answered", array)
	}
}

func (c *client) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faultLocked(format, args...)
}

func (c *client) faultLocked(format string, args ...any) {
	if len(c.faults) < 5 {
		c.faults = append(c.faults, c.user+": "+fmt.Sprintf(format, args...))
	}
}

// hasAll says whether the client has heard the last number of all its rooms.
func (c *client) hasAll(last map[string]int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, room := range c.rooms {
		if n, said := last[room]; said && c.heard[room] != n {
			return false
		}
	}
	return true
}

func (c *client) isBack(since time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.back.After(since)
}

func (c *client) hasOffset() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset != ""
}
