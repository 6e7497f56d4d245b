package gossip

import "math/bits"

// numbers is a set of peers by their number: in a pool of a thousand nodes there is
// something to do for few of them at a time. Its zero value is empty.
type numbers []uint64

// add puts a number of 1 or more into the set.
func (s *numbers) add(number int32) {
	word := int(number) / 64
	for len(*s) <= word {
		*s = append(*s, 0)
	}
	(*s)[word] |= 1 << (number % 64)
}

// each hands over every number, the least first, and removes those for which f says
// false. F may add what has been handed over already.
func (s numbers) each(f func(number int32) (stays bool)) {
	for i := range s {
		for rest := s[i]; rest != 0; rest &= rest - 1 {
			bit := bits.TrailingZeros64(rest)
			if !f(int32(64*i + bit)) {
				s[i] &^= 1 << bit
			}
		}
	}
}
