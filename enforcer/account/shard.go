package account

import (
	"sync"
	"unsafe"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// entry is one counter: a cache line, without pointers, so that the garbage
// collector never looks at it.
type entry struct {
	key   limit.Key
	state decide.State

	// local is, with sharedBit, the place of the counter's Local. While it is not
	// shared local is how many tokens were taken here that nobody knows of, and
	// untold the same less what leaks from that, as of toldAt; untold below 0 says
	// that the node was alone, see takeAlone.
	local  uint32
	untold float32
	toldAt uint32 // milliseconds

	// meter is the Ref of how the counter counts, with two flags. dirtyBit: the
	// slot is in the list of those that Changed has to hand over; a slot keeps it
	// when its counter is forgotten, and so is never there twice. deniedBit: the
	// last request was denied, so somebody is held by this counter.
	meter uint32

	// Neighbours in the list of a bucket of the timer wheel: slots, or none. The
	// first of a list has the bucket, with its highest bit set, as prev. A free
	// entry has the next free one as next.
	next, prev uint32
}

const (
	entrySize   = int(unsafe.Sizeof(entry{}))
	shardSize   = int(unsafe.Sizeof(shard{}))
	chunkHeader = int(unsafe.Sizeof([]entry(nil)))
	pointerSize = int(unsafe.Sizeof(uintptr(0)))
	wordSize    = 4 // of the index, and of the list of changed slots

	chunkSlots = 128
	minIndex   = 16

	// A word of the index is 0, or slot+1 in its low bits and a tag of the key in
	// its high ones, which spares most looks at entries of other keys.
	slotBits = 22
	maxSlots = 1<<slotBits - 1
	tagMask  = ^uint32(1<<slotBits - 1)

	none      = ^uint32(0)
	dirtyBit  = uint32(1) << 31
	deniedBit = uint32(1) << 30
	flagBits  = dirtyBit | deniedBit

	sharedBit = uint32(1) << 31 // of entry.local
)

func (e *entry) ref() Ref     { return Ref(e.meter &^ flagBits) }
func (e *entry) dirty() bool  { return e.meter&dirtyBit != 0 }
func (e *entry) denied() bool { return e.meter&deniedBit != 0 }
func (e *entry) shared() bool { return e.local&sharedBit != 0 }

// shard is a part of the store.
//
// Invariants: keys = entries reachable from index = entries in the wheel;
// usage[r].Active sums to keys; locals.used = entries with a local.
type shard struct {
	mu     sync.Mutex
	number int

	index   []uint32  // open addressing, linear probing; a power of two
	chunks  [][]entry // entry of slot i: chunks[i/chunkSlots][i%chunkSlots]
	keys    int
	slots   uint32   // that were ever used; chunks has room for them
	free    uint32   // first free slot below slots, or none
	changed []uint32 // slots whose entries are dirty, each once
	locals  locals
	era     uint32 // of the newest Local

	wheel            wheel
	usage            usages
	evicted, expired uint64

	_ [120]byte // keeps neighbours off this cache line, and makes shards whole lines
}

// clear makes the shard empty. Eras and counts go on.
func (sh *shard) clear() {
	sh.index = make([]uint32, minIndex)
	sh.chunks, sh.keys, sh.slots, sh.free, sh.changed, sh.locals = nil, 0, 0, none, nil, locals{}
	sh.wheel.clear()
}

// at returns the entry of a slot. Chunks are slices: of a pointer to an array Go
// checks that it is not nil by reading its first entry, which is a cache miss.
func (sh *shard) at(slot uint32) *entry { return &sh.chunks[slot/chunkSlots][slot%chunkSlots] }

func tagOf(k limit.Key) uint32 { return uint32(k.Lo>>32) & tagMask }

// lookup returns the slot and the entry of a key; the entry is nil where there is
// none.
func (sh *shard) lookup(k limit.Key) (uint32, *entry) {
	mask := uint32(len(sh.index) - 1)
	tag := tagOf(k)
	for i := uint32(k.Lo) & mask; ; i = (i + 1) & mask {
		word := sh.index[i]
		if word == 0 {
			return none, nil
		}
		if word&tagMask == tag {
			slot := word&^tagMask - 1
			if e := sh.at(slot); e.key == k {
				return slot, e
			}
		}
	}
}

// fits says whether an index is large enough for so many keys.
func fits(keys, index int) bool { return 4*keys <= 3*index }

// insert makes a counter; its key is not there, and there is room for it.
func (sh *shard) insert(k limit.Key, ref Ref) (slot uint32, e *entry) {
	if !fits(sh.keys+1, len(sh.index)) {
		sh.rebuild(2 * len(sh.index))
	}
	slot = sh.free
	if slot == none {
		slot = sh.slots
		sh.slots++
		if int(slot) == len(sh.chunks)*chunkSlots {
			sh.chunks = append(sh.chunks, make([]entry, chunkSlots))
		}
	} else {
		sh.free = sh.at(slot).next
	}
	e = sh.at(slot)
	*e = entry{key: k, meter: e.meter&dirtyBit | uint32(ref), next: none, prev: none}
	sh.link(k, slot)
	sh.keys++
	sh.usage.of(ref).Active++
	return slot, e
}

// link enters a slot into the index.
func (sh *shard) link(k limit.Key, slot uint32) {
	mask := uint32(len(sh.index) - 1)
	i := uint32(k.Lo) & mask
	for sh.index[i] != 0 {
		i = (i + 1) & mask
	}
	sh.index[i] = tagOf(k) | (slot + 1)
}

// remove forgets the counter in a slot, which is in no list of the wheel.
func (sh *shard) remove(slot uint32) {
	e := sh.at(slot)
	sh.unlink(e.key, slot)
	sh.usage.of(e.ref()).Active--
	*e = entry{meter: e.meter & dirtyBit, next: sh.free, prev: none}
	sh.free = slot
	sh.keys--
}

// unlink takes a slot out of the index and closes the gap: every word that could
// stand nearer to where its key begins moves there.
func (sh *shard) unlink(k limit.Key, slot uint32) {
	mask := uint32(len(sh.index) - 1)
	gap := uint32(k.Lo) & mask
	for sh.index[gap]&^tagMask != slot+1 {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; sh.index[i] != 0; i = (i + 1) & mask {
		home := uint32(sh.at(sh.index[i]&^tagMask-1).key.Lo) & mask
		if (i-home)&mask >= (i-gap)&mask {
			sh.index[gap] = sh.index[i]
			gap = i
		}
	}
	sh.index[gap] = 0
}

// rebuild makes an index of another size. It reads the entries in the order in
// which they lie in memory, not that of the old index: several times as fast.
func (sh *shard) rebuild(size int) {
	sh.index = make([]uint32, size)
	for slot := range sh.slots {
		if e := sh.at(slot); !e.key.IsZero() {
			sh.link(e.key, slot)
		}
	}
}

// bytes is the memory of the shard.
func (sh *shard) bytes() int64 {
	return int64(shardSize+len(sh.chunks)*chunkSlots*entrySize+cap(sh.chunks)*chunkHeader+
		len(sh.index)*wordSize+cap(sh.changed)*wordSize) + sh.usage.bytes()
}
