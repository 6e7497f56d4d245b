package lease

import "github.com/sluice-dev/sluice/enforcer/limit"

// chunk is how many values are allocated at a time: in an enforcer that counts next to
// nothing each shard has two chunks.
const chunk = 16

// table finds values by key, and goes through them in an order that depends on
// nothing but what was done with it. Values never move, so that growing copies nothing
// and leaves hardly any room unused. The zero table is empty.
type table[T any] struct {
	index  map[limit.Key]uint32
	chunks []*[chunk]slot[T]
	slots  int // that have been used so far
	free   []uint32

	made  int // since the last sweep
	swept int // where the next one goes on
}

// slot is the place of a value. Its key is zero where it is free.
type slot[T any] struct {
	key   limit.Key
	value T
}

func (t *table[T]) len() int { return len(t.index) }

func (t *table[T]) at(i uint32) *slot[T] { return &t.chunks[i/chunk][i%chunk] }

// find returns the value of a key, or nil. It is valid until it is removed.
func (t *table[T]) find(k limit.Key) *T {
	if i, ok := t.index[k]; ok {
		return &t.at(i).value
	}
	return nil
}

// add makes the zero value of a key, which is not there.
func (t *table[T]) add(k limit.Key) *T {
	if t.index == nil {
		t.index = map[limit.Key]uint32{}
	}
	i := uint32(t.slots)
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		if t.slots%chunk == 0 {
			t.chunks = append(t.chunks, new([chunk]slot[T]))
		}
		t.slots++
	}
	s := t.at(i)
	t.index[k], s.key = i, k
	t.made++
	return &s.value
}

func (t *table[T]) remove(k limit.Key) {
	i, ok := t.index[k]
	if !ok {
		return
	}
	delete(t.index, k)
	*t.at(i) = slot[T]{}
	t.free = append(t.free, i)
}

// each calls f for at most most slots from a place on, and returns the place to go on
// from, 0 after the last. F may remove the value that it is given.
func (t *table[T]) each(from, most int, f func(*T)) (next int) {
	for i := from; i < t.slots; i++ {
		if most--; most < 0 {
			return i
		}
		if s := t.at(uint32(i)); !s.key.IsZero() {
			f(&s.value)
		}
	}
	return 0
}
