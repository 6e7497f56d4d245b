package account_test

import (
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// TestASprayOfKeysUnlimitsNobody floods a store with random keys: memory stays
// within its bound, also while nobody asks what changed, and a client at its limit
// stays there.
func TestASprayOfKeysUnlimitsNobody(t *testing.T) {
	spray := uint64(10_000_000)
	if testing.Short() || raceEnabled {
		spray = 500_000
	}
	const maxKeys, victims = 50_000, 500
	before := heap()
	s := newStore(t, account.Options{MaxKeys: maxKeys})
	ref := meters(s, bucket(10, limit.Minute, 10))[0]
	now := start
	for v := range uint64(victims) {
		for range 10 {
			take(s, now, key(v), ref)
		}
	}
	charges := make([]account.Charge, 1)
	for i := range spray {
		now = now.Add(2 * limit.Span(time.Microsecond)) // 500,000 requests a second
		charges[0] = account.Charge{Key: key(victims + i), Meter: ref, Cost: 1}
		s.Charge(now, charges)
		if i%50_000 == 0 { // the victims go on at ten times their limit
			for v := range uint64(victims) {
				take(s, now, key(v), ref)
			}
		}
	}
	stats, grown := s.Stats(), heap()-before
	t.Logf("%d keys sprayed: %d there, %d evicted, %.1f MB of heap", spray, stats.Keys, stats.Evicted, float64(grown)/1e6)
	if stats.Keys > stats.MaxKeys || stats.Bytes > stats.MaxBytes {
		t.Errorf("%d keys in %d bytes, want at most %d in %d", stats.Keys, stats.Bytes, stats.MaxKeys, stats.MaxBytes)
	}
	if most := stats.MaxBytes * 5 / 4; grown > most {
		t.Errorf("the heap grew by %d bytes, want at most %d: what the store says and a quarter", grown, most)
	}
	if want := spray + victims - uint64(stats.Keys) - stats.Expired; stats.Evicted != want {
		t.Errorf("%d evictions counted, want %d: every counter that is neither there nor expired", stats.Evicted, want)
	}
	for v := range uint64(victims) {
		if got := left(s, now, key(v), ref); got > 4 { // 10 a minute refill 3.3 in the 20 seconds of the spray
			t.Fatalf("client %d was at its limit and has %d left now", v, got)
		}
	}
}

// TestASprayThatUsesEachKeyUp: where a quota is one request, every sprayed key is
// at its limit as well. Clients that go on and are denied stay limited: those that
// were never denied make room first.
func TestASprayThatUsesEachKeyUp(t *testing.T) {
	const maxKeys, victims = 20_000, 500
	spray := uint64(500_000)
	if raceEnabled {
		spray = 100_000
	}
	s := newStore(t, account.Options{MaxKeys: maxKeys})
	ref := meters(s, bucket(1, limit.Minute, 1))[0]
	now, admitted := start, 0
	for i := range spray { // 50,000 a second, for 10 s
		now = now.Add(20 * limit.Span(time.Microsecond))
		if i%5000 == 0 { // ten times a second
			for v := range uint64(victims) {
				for range 2 {
					if take(s, now, key(v), ref) {
						admitted++
					}
				}
			}
		}
		take(s, now, key(victims+i), ref)
	}
	if got := s.Stats().Evicted; got < spray/2 {
		t.Fatalf("only %d counters were forgotten: the test shows nothing", got)
	}
	if admitted != victims {
		t.Errorf("%d requests of %d clients were admitted, want one of each", admitted, victims)
	}
}

// heap returns the bytes of the heap that are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// MaxKeys bounds bytes as well, by the figures that Options.MaxKeys names.
func TestMaxKeysBoundsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := account.Options{MaxKeys: rapid.OneOf(rapid.IntRange(account.MinKeys, 10_000), rapid.IntRange(account.MinKeys, 100_000_000)).Draw(t, "MaxKeys")}
		s, err := account.New(o)
		if err != nil {
			t.Fatal(err)
		}
		stats := s.Stats()
		if stats.MaxKeys < o.MaxKeys || stats.MaxKeys > o.MaxKeys+s.Shards() {
			t.Errorf("%d keys at most, want %d, in whole for each of %d shards", stats.MaxKeys, o.MaxKeys, s.Shards())
		}
		if most := int64(stats.MaxKeys)*int64(account.BytesPerKey) + int64(s.Shards())*account.BytesPerShard; stats.MaxBytes > most {
			t.Errorf("%d bytes at most, want no more than %d", stats.MaxBytes, most)
		}
		if stats.Bytes > stats.MaxBytes {
			t.Errorf("%d bytes when empty, more than the most of %d", stats.Bytes, stats.MaxBytes)
		}
	})
}

// The order in which counters are forgotten: those nearest to full go first.
func TestTheNearestToFullAreForgottenFirst(t *testing.T) {
	const maxKeys = 10_000
	s := newStore(t, account.Options{MaxKeys: maxKeys})
	ref := meters(s, bucket(100, limit.Hour, 100))[0]
	kept := func(i uint64) limit.Key { return key(i) }
	for i := range uint64(maxKeys) { // a tenth of them each 10, 20, ... 100 % used
		s.Charge(start, []account.Charge{{Key: kept(i), Meter: ref, Cost: limit.Amount(10 + i%10*10)}})
	}
	for i := range uint64(2000) {
		s.Charge(start, []account.Charge{{Key: key(maxKeys + i), Meter: ref, Cost: 50}})
	}
	var gone [10]int
	for i := range uint64(maxKeys) {
		if !s.Has(kept(i)) {
			gone[i%10]++
		}
	}
	t.Logf("forgotten by tenths of use: %v", gone)
	if gone[9] != 0 || gone[8] != 0 {
		t.Errorf("%d counters at 90 %% and %d at their limit were forgotten, want none", gone[8], gone[9])
	}
	all := 0
	for _, n := range gone {
		all += n
	}
	if near := gone[0] + gone[1]; near < all/2 {
		t.Errorf("%d of %d forgotten counters were of the fifth nearest to full, want most", near, all)
	}
}

func TestIdleCountersAreForgotten(t *testing.T) {
	s := newStore(t, account.Options{})
	refs := meters(s, bucket(1, limit.Second, 10), bucket(1, 24*limit.Hour, 40))
	now := start
	for i := range uint64(100) {
		s.Charge(now, []account.Charge{{Key: key(i), Meter: refs[0], Cost: limit.Amount(1 + i%10)}})
	}
	s.Charge(now, []account.Charge{{Key: key(1000), Meter: refs[1], Cost: 20}}) // 20 days: beyond the wheel
	for second := limit.Span(1); second <= 10; second++ {
		s.Expire(start.Add(second*limit.Second-1), 1000)
		if got, want := s.Stats().Keys, 101-10*int(second-1); got != want {
			t.Fatalf("%d counters just before second %d, want %d", got, second, want)
		}
		for range 3 { // within 100 ms
			now = start.Add(second*limit.Second + 100*limit.Millisecond)
			s.Expire(now, 1000)
		}
		if got, want := s.Stats().Keys, 101-10*int(second); got != want {
			t.Fatalf("%d counters after second %d, want %d", got, second, want)
		}
	}
	for day := limit.Span(1); day <= 20; day++ {
		if !s.Has(key(1000)) {
			t.Fatalf("the counter of 20 days was forgotten on day %d", day)
		}
		for range 4 {
			s.Expire(start.Add(day*limit.Day+limit.Second), 1000)
		}
	}
	if s.Has(key(1000)) {
		t.Error("the counter of 20 days is still there after them")
	}
	if got := s.Stats().Expired; got != 101 {
		t.Errorf("%d counters expired, want 101", got)
	}
}

func TestExpiryMovesOnWithACounterInUse(t *testing.T) {
	s := newStore(t, account.Options{})
	ref := meters(s, bucket(10, limit.Second, 10))[0]
	now := start
	for range 1000 {
		now = now.Add(50 * limit.Millisecond)
		take(s, now, key(1), ref)
		s.Expire(now, 10)
		if !s.Has(key(1)) {
			t.Fatal("a counter in use was forgotten")
		}
	}
}

// TestAMillionKeys measures what a million active clients cost.
func TestAMillionKeys(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a million keys, only in a full run without the race detector")
	}
	const n = 1_000_000
	before := heap()
	s := newStore(t, account.Options{MaxKeys: 1_200_000})
	ref := meters(s, bucket(10, limit.Minute, 10))[0]
	for i := range uint64(n) {
		take(s, start, key(i), ref)
	}
	grown := heap() - before
	stats := s.Stats()
	if stats.Keys != n {
		t.Fatalf("%d counters, want %d", stats.Keys, n)
	}
	t.Logf("1M active keys: %.1f MB of heap", float64(grown)/1e6)
	if grown > 100e6 {
		t.Errorf("1M active keys cost %.1f MB, want at most 100", float64(grown)/1e6)
	}
	if off := grown - stats.Bytes; off > grown/20 || -off > grown/20 {
		t.Errorf("the store says %d bytes, the heap grew by %d", stats.Bytes, grown)
	}
	runtime.KeepAlive(s)
}
