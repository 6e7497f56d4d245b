package gossip

import "github.com/sluice-dev/sluice/enforcer/limit"

// Ledger is the memory of what a peer said, for tests of it alone.
type Ledger struct{ l ledger }

func NewLedger(max int) *Ledger { return &Ledger{ledger{max: max}} }

func (l *Ledger) Set(k limit.Key, own limit.Amount, era uint64, round uint32) {
	l.l.set(k, record{own, fold(era), round})
}

func (l *Ledger) Get(k limit.Key) (limit.Amount, uint32, bool) {
	r, ok := l.l.get(k)
	return r.own, r.round, ok
}

func (l *Ledger) Sweep(budget int, keep func(limit.Key) bool) { l.l.sweep(budget, keep) }

func (l *Ledger) Len() int { return l.l.len }

// Slots is the memory in use, 32 bytes each.
func (l *Ledger) Slots() int {
	n := 0
	for _, s := range l.l.slots {
		n += len(s)
	}
	return n
}

// Reencode decodes a frame and encodes it again.
func Reencode(b []byte) ([]byte, error) {
	var f frame
	if err := f.decode(b); err != nil {
		return nil, err
	}
	var w writer
	w.begin(&f)
	switch f.kind {
	case kindAsk:
		w.cursor(f.cursor)
	case kindPage:
		at := w.page(f.cursor)
		w.finishPage(at, f.next, f.done, f.more && !f.done)
	}
	for i := range f.entries {
		w.entry(&f.entries[i])
	}
	return w.buf, nil
}
