package lease

import "github.com/sluice-dev/sluice/enforcer/limit"

// table finds values by key, and goes through them in an order that depends on
// nothing but what was done with it. The zero table is empty.
type table[T any] struct {
	index  map[limit.Key]uint32
	keys   []limit.Key // zero where a slot is free
	values []T
	free   []uint32

	made  int // since the last sweep
	swept int // where the next one goes on
}

func (t *table[T]) len() int { return len(t.index) }

// find returns the value of a key, or nil. It is valid until the next add.
func (t *table[T]) find(k limit.Key) *T {
	if slot, ok := t.index[k]; ok {
		return &t.values[slot]
	}
	return nil
}

// add makes the zero value of a key, which is not there.
func (t *table[T]) add(k limit.Key) *T {
	if t.index == nil {
		t.index = map[limit.Key]uint32{}
	}
	slot := uint32(len(t.keys))
	if n := len(t.free); n > 0 {
		slot, t.free = t.free[n-1], t.free[:n-1]
	} else {
		t.keys, t.values = append(t.keys, limit.Key{}), append(t.values, *new(T))
	}
	t.index[k], t.keys[slot] = slot, k
	t.made++
	return &t.values[slot]
}

func (t *table[T]) remove(k limit.Key) {
	slot, ok := t.index[k]
	if !ok {
		return
	}
	delete(t.index, k)
	t.keys[slot], t.values[slot] = limit.Key{}, *new(T)
	t.free = append(t.free, slot)
}

// each calls f for at most most slots from a place on, and returns the place to go on
// from, 0 after the last. F may remove the value that it is given.
func (t *table[T]) each(from, most int, f func(*T)) (next int) {
	for i := from; i < len(t.keys); i++ {
		if most--; most < 0 {
			return i
		}
		if !t.keys[i].IsZero() {
			f(&t.values[i])
		}
	}
	return 0
}
