package bridge

import "sync"

// progress is how far the reader of live messages has handed on what was stored, and of which incarnation of the stream: one
// is wrong without the other.
type progress struct {
	mu       sync.Mutex
	epoch    string
	sequence uint64
}

// begin notes the first incarnation, before anything is read.
func (p *progress) begin(epoch string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch == "" {
		p.epoch = epoch
	}
}

// startOver notes another incarnation, whose sequences begin again.
func (p *progress) startOver(epoch string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch, p.sequence = epoch, 0
}

// reach notes that everything up to a sequence was handed on.
func (p *progress) reach(sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sequence = max(p.sequence, sequence)
}

func (p *progress) both() (epoch string, sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch, p.sequence
}

// Load returns the sequence.
func (p *progress) Load() uint64 {
	_, sequence := p.both()
	return sequence
}

// Epoch is the incarnation of the stream that sequences are of.
func (b *Bridge) Epoch() string {
	epoch, _ := b.position.both()
	return epoch
}

// Position is the stream's sequence until which everything has been handed to the hub, and orders have taken effect.
func (b *Bridge) Position() uint64 { return b.position.Load() }
