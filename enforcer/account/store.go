// Package account remembers what has been taken from every counter. The store is
// sharded, bounded, free of pointers, and forgets a counter at the instant at
// which it says nothing any more.
package account

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	// BytesPerKey is what one counter costs at most: itself, its part of the
	// index, and its place in the list of those that changed.
	BytesPerKey = entrySize + 4*wordSize

	// BytesPerShared is what sharing a counter costs more, while it is near its
	// limit or in use by several nodes.
	BytesPerShared = int(unsafe.Sizeof(local{})) + wordSize

	// BytesPerShard is what each shard costs at most beside its counters.
	BytesPerShard = 10<<10 + 128

	// DefaultMaxKeys bounds a store whose Options name no bound: 80 MB at most.
	DefaultMaxKeys = 1_000_000

	// MinKeys is the least that Options.MaxKeys may be.
	MinKeys = minShards

	// MostKeys is the most that Options.MaxKeys may be.
	MostKeys = maxShards * maxSlots

	// sharedPart of the counters may be shared at a time, and at least minShared:
	// beyond that, as under a spray of keys, others count for themselves.
	sharedPart, minShared = 4, 1024

	minShards, maxShards = 64, 4096
	keysPerShard         = 4096 // at which one shard's index is rebuilt in well under 0.1 ms
)

// Options configure a Store.
type Options struct {
	// MaxKeys is the most counters that are remembered, MinKeys to MostKeys; 0
	// means DefaultMaxKeys.
	//
	// It bounds memory as well, so there is no second bound to set: all counters
	// have one size, and memory grows with those there are, to at most BytesPerKey
	// for each and BytesPerShard for each shard. Stats.MaxBytes is the exact sum.
	// Those that are shared at the moment, at most a quarter, cost BytesPerShared
	// more.
	MaxKeys int

	// Wake is called when there is something for Changed to hand over, and was not
	// before; nil calls nobody. It runs under a lock: it must not block, and must
	// not call the Store.
	Wake func()

	// Shards is the number of parts with a lock of their own, a power of two; 0
	// chooses it by MaxKeys.
	Shards int
}

// Store holds the counters of one enforcer. All methods may be called from any
// number of goroutines. A lock covers one shard, is held for the work on one
// counter (or a few dozen, in Expire), and several are held together only for
// the limits of one request, in ascending order.
type Store struct {
	shards   []shard
	shift    uint // of Key.Hi, to the number of its shard
	perShard int

	meters atomic.Pointer[meterTable]
	expire atomic.Uint32 // the shard at which the next Expire begins
	base   usageBase

	maxShared        int64
	sharing, changed bitmap // shards with Locals, and with changed ones
	shared           atomic.Int64
	awake            atomic.Bool // Wake was called since Changed was
	wake             func()
	sweep, flush     cursor
	handed           []share.Counter // by shard: the one that is being handed over
}

// cursor is a place in the store: of the Locals of a shard, or of its slots.
type cursor struct {
	shard int
	place uint32
}

// Stats describe a Store.
type Stats struct {
	Keys    int    // counters now
	MaxKeys int    // bound of Keys
	Shared  int    // counters that are shared now
	Evicted uint64 // counters forgotten for want of room, since the start
	Expired uint64 // counters forgotten because they said nothing any more

	// Bytes is the memory that the store has allocated; it is not given back.
	// MaxBytes bounds it: what it is when all keys are there and each shard has
	// counted by every meter.
	Bytes, MaxBytes int64
}

// New returns an empty Store.
func New(o Options) (*Store, error) {
	if o.MaxKeys == 0 {
		o.MaxKeys = DefaultMaxKeys
	}
	if o.MaxKeys < MinKeys || o.MaxKeys > MostKeys {
		return nil, fmt.Errorf("MaxKeys is %d: use %d to %d", o.MaxKeys, MinKeys, MostKeys)
	}
	if o.Shards == 0 {
		o.Shards = min(max(1<<bits.Len(uint(o.MaxKeys/keysPerShard)), minShards), maxShards)
	}
	if o.Shards < 1 || o.Shards > maxShards || o.Shards&(o.Shards-1) != 0 || o.MaxKeys/o.Shards >= maxSlots {
		return nil, fmt.Errorf("%d Shards: use a power of two up to %d", o.Shards, maxShards)
	}
	s := &Store{
		shards: make([]shard, o.Shards),
		shift:  uint(64 - bits.TrailingZeros(uint(o.Shards))),
		wake:   o.Wake, maxShared: int64(max(minShared, o.MaxKeys/sharedPart)),
		perShard: (o.MaxKeys + o.Shards - 1) / o.Shards,
	}
	for i := range s.shards {
		s.shards[i].number = i
		s.shards[i].clear()
	}
	s.handed = make([]share.Counter, o.Shards)
	s.sharing, s.changed = newBitmap(o.Shards), newBitmap(o.Shards)
	s.meters.Store(&meterTable{})
	return s, nil
}

// shardOf returns the number of the shard of a key: its highest bits. A shift of
// 64, of a single shard, yields 0.
func (s *Store) shardOf(k limit.Key) int { return int(k.Hi >> s.shift) }

// Shards returns the number of parts with a lock of their own.
func (s *Store) Shards() int { return len(s.shards) }

// Reset forgets every counter; usage goes on.
func (s *Store) Reset() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.usage.each(func(_ Ref, u *Usage) { u.Active = 0 })
		s.shared.Add(-int64(sh.locals.used))
		sh.clear()
		s.sharing.unset(i)
		s.changed.unset(i)
		sh.mu.Unlock()
	}
}

// Stats sums up the shards.
func (s *Store) Stats() Stats {
	total := Stats{MaxKeys: s.perShard * len(s.shards), MaxBytes: s.maxBytes()}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		total.Keys += sh.keys
		total.Evicted += sh.evicted
		total.Expired += sh.expired
		total.Bytes += sh.bytes()
		total.Shared += sh.locals.used
		sh.mu.Unlock()
	}
	return total
}

// maxBytes is the memory of a full store.
func (s *Store) maxBytes() int64 {
	chunks := (s.perShard + chunkSlots - 1) / chunkSlots
	index := minIndex
	for !fits(s.perShard, index) {
		index *= 2
	}
	groups := len(s.meters.Load().rows)/len(usageGroup{}) + 1
	each := shardSize + chunks*(chunkSlots*(entrySize+wordSize)+2*chunkHeader) +
		index*wordSize + groups*(usageGroupSize+2*pointerSize)
	return int64(len(s.shards)) * int64(each)
}
