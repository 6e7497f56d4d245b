package account_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// TestASprayOfKeysUnlimitsNobody floods a store with random keys: memory stays
// within its bound, and a client at its limit stays there.
func TestASprayOfKeysUnlimitsNobody(t *testing.T) {
	spray := uint64(10_000_000)
	if testing.Short() || raceEnabled {
		spray = 500_000
	}
	const maxKeys, victims = 50_000, 500
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
	stats := s.Stats()
	if stats.Keys > stats.MaxKeys || stats.Bytes > int64(stats.MaxKeys)*int64(account.BytesPerKey)*5/4 {
		t.Errorf("%d keys in %d bytes, want at most %d keys of %d bytes", stats.Keys, stats.Bytes, stats.MaxKeys, account.BytesPerKey)
	}
	if want := spray - uint64(stats.MaxKeys); stats.Evicted < want {
		t.Errorf("%d evictions counted, want at least %d", stats.Evicted, want)
	}
	for v := range uint64(victims) {
		if got := left(s, now, key(v), ref); got > 4 { // 10 a minute refill 3.3 in the 20 seconds of the spray
			t.Fatalf("client %d was at its limit and has %d left now", v, got)
		}
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
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := newStore(t, account.Options{MaxKeys: 1_200_000})
	ref := meters(s, bucket(10, limit.Minute, 10))[0]
	for i := range uint64(n) {
		take(s, start, key(i), ref)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := s.Stats().Keys; got != n {
		t.Fatalf("%d counters, want %d", got, n)
	}
	grown := float64(after.HeapAlloc-before.HeapAlloc) / 1e6
	t.Logf("1M active keys: %.1f MB of heap", grown)
	if grown > 100 {
		t.Errorf("1M active keys cost %.1f MB, want at most 100", grown)
	}
	runtime.KeepAlive(s)
}
