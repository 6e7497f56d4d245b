package seal

const (
	// windowWords is the size of a window in words. A sender counts its
	// datagrams to all receivers together, so what was sent to one of a thousand
	// peers in the last four ticks is about 4000 counts apart.
	windowWords = 64

	// windowSize is how far behind the newest count one may be.
	windowSize = (windowWords - 1) * 64
)

// window remembers which counts were seen, as RFC 6479 does: a ring of words, of
// which the newest is being filled. The zero value has seen nothing.
type window struct {
	top   uint64 // the newest count
	words [windowWords]uint64
}

// fresh says whether n was not seen and is new enough to tell.
func (w *window) fresh(n uint64) bool {
	if n > w.top {
		return true
	}
	return w.top-n < windowSize && w.words[n/64%windowWords]&(1<<(n%64)) == 0
}

// mark makes n a count that was seen; n is fresh.
func (w *window) mark(n uint64) {
	if n > w.top {
		skipped := min(n/64-w.top/64, windowWords)
		for i := range skipped {
			w.words[(n/64-i)%windowWords] = 0
		}
		w.top = n
	}
	w.words[n/64%windowWords] |= 1 << (n % 64)
}
