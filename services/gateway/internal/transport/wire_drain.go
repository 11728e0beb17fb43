package transport

import (
	"net"
	"time"
)

// drainBatch bounds one write of the drain goroutine, so that the write timeout measures progress
// and not the length of the queue.
const drainBatch = 64 << 10

// drain writes the queue until it is empty, several messages with one write.
func (w *wire) drain() {
	for {
		batch, ok := w.nextBatch()
		if !ok {
			return
		}
		size := 0
		for _, b := range batch {
			size += len(b)
		}
		w.Conn.SetWriteDeadline(time.Now().Add(w.timeout))
		err := w.writeBatch(batch)
		w.mu.Lock()
		if err != nil {
			w.failLocked(err)
		} else if w.err == nil {
			w.size -= size
		}
		w.mu.Unlock()
	}
}

// writeBatch writes with one system call, or as one TLS record sequence.
func (w *wire) writeBatch(batch [][]byte) error {
	if w.raw != nil {
		buffers := net.Buffers(batch)
		_, err := buffers.WriteTo(w.Conn)
		return err
	}
	joined := getBuffer()
	defer putBuffer(joined)
	for _, b := range batch {
		*joined = append(*joined, b...)
	}
	_, err := w.Conn.Write(*joined)
	return err
}

// nextBatch takes up to drainBatch bytes from the queue. With nothing left it ends the drain
// goroutine and reports false.
func (w *wire) nextBatch() ([][]byte, bool) {
	w.mu.Lock()
	if len(w.queue) > 0 && w.err == nil {
		defer w.mu.Unlock()
		return w.cutLocked(), true
	}
	err, done, ending := w.err, w.done, w.ending
	w.done = nil
	if err == nil {
		if ending {
			w.closeWrite()
		} else {
			// The direct attempt fails on a deadline that has passed.
			w.Conn.SetWriteDeadline(time.Time{})
		}
	}
	w.draining = false
	w.mu.Unlock()
	if done != nil {
		done()
	}
	if err != nil && w.failed != nil {
		w.failed()
	}
	return nil, false
}

func (w *wire) cutLocked() [][]byte {
	size := 0
	for i, b := range w.queue {
		if size+len(b) <= drainBatch {
			size += len(b)
			continue
		}
		batch := append(make([][]byte, 0, i+1), w.queue[:i]...)
		if n := drainBatch - size; n > 0 {
			batch = append(batch, b[:n])
			w.queue[i] = b[n:]
		}
		clear(w.queue[:i]) // or the slice would hold the messages longer than need be
		w.queue = w.queue[i:]
		return batch
	}
	batch := w.queue
	w.queue = nil
	return batch
}
