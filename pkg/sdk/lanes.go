package sdk

import "sync"

// lanes hand out work to a fixed number of workers: what has the same key one at a time, in order, the rest in
// parallel. A slow job holds up its own key alone, as long as there are free workers.
type lanes[T any] struct {
	work    func(T)
	limit   int // of waiting jobs over all keys
	keyed   int // of waiting jobs of one key
	mu      sync.Mutex
	room    sync.Cond // signalled when a job is done
	ready   sync.Cond // signalled when a key has work and no worker
	byKey   map[string]*lane[T]
	queue   []*lane[T] // keys with work and no worker
	pending int        // jobs that wait or run
	closed  bool
	workers sync.WaitGroup
}

type lane[T any] struct {
	key  string
	jobs []T
}

func newLanes[T any](workers, limit int, work func(T)) *lanes[T] {
	l := &lanes[T]{work: work, limit: limit, keyed: max(limit/8, 1), byKey: make(map[string]*lane[T])}
	l.room.L, l.ready.L = &l.mu, &l.mu
	l.workers.Add(workers)
	for range workers {
		go l.run()
	}
	return l
}

// add waits until there is room. It returns false if the key has too much waiting itself; must says to take
// the job nevertheless.
func (l *lanes[T]) add(key string, job T, must bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.pending >= l.limit {
		l.room.Wait()
	}
	busy := l.byKey[key]
	if busy == nil {
		busy = &lane[T]{key: key}
		l.byKey[key] = busy
		l.queue = append(l.queue, busy)
		l.ready.Signal()
	} else if len(busy.jobs) >= l.keyed && !must {
		return false
	}
	busy.jobs = append(busy.jobs, job)
	l.pending++
	return true
}

func (l *lanes[T]) run() {
	defer l.workers.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.queue) == 0 {
			if l.closed {
				return
			}
			l.ready.Wait()
		}
		next := l.queue[0]
		l.queue = l.queue[1:]
		job := next.jobs[0]
		next.jobs = next.jobs[1:]

		l.mu.Unlock()
		l.work(job)
		l.mu.Lock()

		l.pending--
		l.room.Signal()
		if len(next.jobs) == 0 {
			delete(l.byKey, next.key)
			continue
		}
		l.queue = append(l.queue, next) // behind the others: one job each
		l.ready.Signal()
	}
}

// close ends the workers once nothing waits. Nothing may be added afterwards.
func (l *lanes[T]) close() {
	l.mu.Lock()
	l.closed = true
	l.ready.Broadcast()
	l.mu.Unlock()
}

// wait returns when the workers have ended.
func (l *lanes[T]) wait() { l.workers.Wait() }
