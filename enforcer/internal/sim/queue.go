package sim

import "github.com/sluice-dev/sluice/enforcer/limit"

// event is something that happens to the call or the frame in a slot.
type event struct {
	at    limit.Instant
	order uint64
	kind  eventKind
	slot  uint32
}

type eventKind uint8

const (
	callDue eventKind = iota
	frameArrives
)

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.order < o.order }

// queue is a heap of four children a node, earliest first. Four make it half as
// deep as two, and the children lie side by side.
type queue []event

func (w *World) queueAt(t limit.Instant, kind eventKind, slot uint32) {
	w.order++
	w.queue.push(event{max(t, w.now), w.order, kind, slot})
}

func (q *queue) push(e event) {
	h := append(*q, e)
	*q = h
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

func (q *queue) pop() event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return first
}

// slots is a table whose free places are used again.
type slots[T any] struct {
	items  []T
	unused []uint32
}

// put returns the slot that now holds v.
func (s *slots[T]) put(v T) uint32 {
	if n := len(s.unused); n > 0 {
		slot := s.unused[n-1]
		s.unused = s.unused[:n-1]
		s.items[slot] = v
		return slot
	}
	s.items = append(s.items, v)
	return uint32(len(s.items) - 1)
}

// at points to what a slot holds, until the next put.
func (s *slots[T]) at(slot uint32) *T { return &s.items[slot] }

func (s *slots[T]) free(slot uint32) { s.unused = append(s.unused, slot) }
