package account_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// A pool that shrinks to one node has nothing to share, and its counters go.
func TestCountersOfANodeThatIsAloneAgain(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	takeN(s, start, key(1), ref, 400)
	takeN(s, start, key(2), ref, 400)
	s.SetPool(1, delay)
	collect(sweep(s), start, 1000, true)
	if got := s.Shared(); got != 0 {
		t.Errorf("%d counters are shared, want none", got)
	}
	s.Expire(start.Add(2*limit.Hour), 1000)
	s.Expire(start.Add(2*limit.Hour), 1000)
	if got := s.Stats().Keys; got != 0 {
		t.Errorf("%d counters are left after two hours, want none", got)
	}
}

func TestResetForgetsWhatIsShared(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	for i := range uint64(50) {
		takeN(s, start, key(i), ref, 20)
	}
	collect(sweep(s), start, 20, true)
	s.Reset()
	if got := s.Shared(); got != 0 || s.Stats().Keys != 0 {
		t.Errorf("%d counters are shared of %d, want none", got, s.Stats().Keys)
	}
	if got := len(collect(s.Changed, start, 1000, true)) + len(collect(sweep(s), start, 1000, true)); got != 0 {
		t.Errorf("%d counters are handed over, want none", got)
	}
	takeN(s, start, key(7), ref, 20)
	if got := collect(s.Changed, start, 1000, true); !cmp.Equal(got, map[limit.Key]int{key(7): 1}) {
		t.Errorf("afterwards %v are handed over", got)
	}
}

// A shared counter is not forgotten while others expect something of it; one that
// is evicted or idle takes its Local along.
func TestSharedCountersExpireAndAreEvicted(t *testing.T) {
	s, ref := pooled(t, account.Options{MaxKeys: account.MinKeys})
	for i := range uint64(1000) {
		takeN(s, start, key(i), ref, 10+int(i%7))
	}
	stats := s.Stats()
	if stats.Evicted == 0 || s.Shared() != stats.Keys {
		t.Errorf("%d of %d counters are shared after %d evictions, want all", s.Shared(), stats.Keys, stats.Evicted)
	}
	handed := 0
	s.Sweep(start, stats.Keys, true, func(c *share.Counter) bool {
		handed++
		if got, want := c.Params.Used(*c.State, start), c.Local; got < 10 || want == nil {
			t.Errorf("a counter of %d tokens", got)
		}
		return true
	})
	if handed != stats.Keys {
		t.Errorf("%d counters are handed over, want %d", handed, stats.Keys)
	}
	later := start.Add(2 * limit.Hour)
	s.Expire(later, 10_000)
	if got := s.Stats().Keys; got != stats.Keys {
		t.Errorf("%d of %d shared counters are left when they are full, want all", got, stats.Keys)
	}
	s.Sweep(later, 1000, true, func(c *share.Counter) bool {
		c.Report(later) // or what is untold would be remembered until it has leaked
		return false
	})
	for range 3 {
		later = later.Add(2 * limit.Second)
		s.Expire(later, 10_000)
	}
	if got := s.Stats().Keys; got != 0 {
		t.Errorf("%d counters are left, want none", got)
	}
}

func TestARescaledCounterStaysShared(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	takeN(s, start, key(1), ref, 400)
	next := s.SetMeters(start, []account.Meter{{Limit: 1, Params: bucket(2000, limit.Hour, 2000)}})[0]
	if got := left(s, start, key(1), next); got != 1600 || s.Shared() != 1 {
		t.Errorf("%d left and %d shared, want 1600 and 1", got, s.Shared())
	}
	s.Changed(start, 10, func(c *share.Counter) bool {
		if rep := c.Report(start); rep.Taken != 400 || rep.Level != 1600 {
			t.Errorf("it reports %+v, want 400 tokens with 1600 left", rep)
		}
		return true
	})
	takeN(s, start, key(1), next, 1600)
	if take(s, start, key(1), next) {
		t.Error("more was admitted than the limit")
	}
}

// What is left for one node is for the clients of others: a thinned request is
// told to come back.
func TestAThinnedRequestIsToldToComeBack(t *testing.T) {
	s := newStore(t, account.Options{})
	s.SetPool(2, delay)
	p := bucket(100, limit.Second, 100)
	ref := s.SetMeters(start, []account.Meter{{Limit: 1, Params: p}})[0]
	s.With(start, key(1), ref, true, func(c *share.Counter) {
		c.Hear(start, &share.State{Level: 3, Rate: 95, Demand: 10_000, Others: 1})
	})
	charge := []account.Charge{{Key: key(1), Meter: ref, Cost: 1}}
	if s.Charge(start, charge) {
		t.Fatal("one of 10,000 a second was admitted at once")
	}
	want := decide.Reading{Remaining: 0, ResetAfter: charge[0].Reading.ResetAfter, RetryAfter: 10 * limit.Millisecond}
	if got := charge[0].Reading; got != want {
		t.Errorf("it was told %+v, want %+v", got, want)
	}
}

// Under a spray of keys not all of them are shared: the others count for
// themselves, and lose nothing.
func TestHowManyCountersAreShared(t *testing.T) {
	const most = 1024 // of so small a store
	s, ref := pooled(t, account.Options{MaxKeys: 4096})
	for i := range uint64(3000) {
		takeN(s, start, key(i), ref, 20)
	}
	if got := s.Shared(); got != most || s.Stats().Shared != most {
		t.Errorf("%d of 3000 counters are shared, %d by the statistics, want %d", got, s.Stats().Shared, most)
	}
	collect(s.Changed, start, 10_000, false)
	for i := range uint64(3000) {
		takeN(s, start, key(i), ref, 1)
	}
	told := int64(0)
	s.Changed(start, 10_000, func(c *share.Counter) bool {
		told = max(told, c.Report(start).Taken)
		return true
	})
	if told != 21 {
		t.Errorf("%d tokens of a counter are told, want all 21", told)
	}
}

// The driver is woken once when there is something to tell, until it has looked.
func TestWake(t *testing.T) {
	woken := 0
	s, ref := pooled(t, account.Options{Wake: func() { woken++ }})
	step := func(what string, want int, do func()) {
		t.Helper()
		if do(); woken != want {
			t.Errorf("%s: woken %d times, want %d", what, woken, want)
		}
	}
	step("what is not worth a word", 0, func() { takeN(s, start, key(1), ref, 9) })
	step("a counter that is shared", 1, func() { takeN(s, start, key(1), ref, 1) })
	step("others meanwhile", 1, func() { takeN(s, start, key(2), ref, 50) })
	step("nothing new", 1, func() { collect(s.Changed, start, 10, true) })
	step("a request after it has looked", 2, func() { take(s, start, key(1), ref) })
}

// TestSharingUnderFire has requests race with the protocol: no deadlock, no race,
// and at the end the books fit together.
func TestSharingUnderFire(t *testing.T) {
	const threads, rounds, keys = 4, 600, 300
	s, ref := pooled(t, account.Options{MaxKeys: 256}) // so counters are evicted all the time
	var done sync.WaitGroup
	for thread := range threads {
		done.Go(func() {
			for i := range rounds {
				now := start.Add(limit.Span(i) * limit.Millisecond)
				a, b := key(uint64(i*7+thread)%keys), key(uint64(i*3)%11)
				s.Charge(now, []account.Charge{
					{Key: a, Meter: ref, Cost: limit.Amount(i%20 - 2)},
					{Key: b, Meter: ref, Cost: 1, Shadow: true},
				})
			}
		})
	}
	done.Go(func() { // the driver of the protocol: one thread
		for i := range rounds {
			now := start.Add(limit.Span(i) * limit.Millisecond)
			look := func(c *share.Counter) bool {
				c.Settle(now)
				if c.Due(now) {
					c.Report(now)
				}
				return i%3 > 0 || !c.Local.Idle(now)
			}
			s.Changed(now, 50, look)
			s.Sweep(now, 50, true, look)
			s.With(now, key(uint64(i)%keys), ref, i%2 == 0, func(c *share.Counter) {
				c.Settle(now)
				c.Hear(now, &share.State{Level: float64(i % 1000), Rate: float64(i % 7), Demand: float64(i % 50), Others: 3, Exact: i%4 == 0})
			})
			s.Expire(now, 50)
			s.Flush(now, 20)
			if i%200 == 199 {
				s.SetPool(2+i%3, delay)
			}
		}
	})
	done.Wait()

	last := start.Add(rounds * limit.Millisecond)
	shared := 0
	for k := range uint64(keys) {
		before := s.Shared()
		if s.With(last, key(k), ref, false, func(*share.Counter) {}) && s.Shared() == before {
			shared++
		}
	}
	handed := len(collect(sweep(s), last, keys, false))
	if got := s.Stats().Keys; handed != got || shared > got {
		t.Errorf("of %d counters %d are handed over, %d of which were shared", got, handed, shared)
	}
	if got := s.Shared(); got != 0 {
		t.Errorf("%d counters are shared when all were given up", got)
	}
	if got := usage(s, 1).Active; got != int64(s.Stats().Keys) {
		t.Errorf("%d counters are active, want %d", got, s.Stats().Keys)
	}
}
