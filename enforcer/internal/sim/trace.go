package sim

import (
	"encoding/binary"
	"math/bits"
)

// Trace is a hash of all that happened so far: of each call its time, of each
// frame that arrived its time, sender, receiver and content, and of whatever was
// given to Note. Two runs with equal traces were the same run.
func (w *World) Trace() uint64 { return w.trace }

// Note adds a value to the trace: a decision, a level, a count.
func (w *World) Note(v uint64) { w.trace = mix(w.trace, v) }

func (w *World) noteBytes(b []byte) {
	h := mix(w.trace, uint64(len(b)))
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, binary.LittleEndian.Uint64(b))
	}
	for _, c := range b {
		h = mix(h, uint64(c))
	}
	w.trace = h
}

// mix folds the product of its arguments, which depends on every bit of both.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, v^0xe7037ed1a0b428db)
	return hi ^ lo
}
