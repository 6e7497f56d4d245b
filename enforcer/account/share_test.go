package account_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const delay = 8 * limit.Millisecond

// pooled returns a store of a pool of ten nodes, with a limit of 1000 an hour: a
// node that took 10 tokens has to tell.
func pooled(t testing.TB, o account.Options) (*account.Store, account.Ref) {
	t.Helper()
	s := newStore(t, o)
	s.SetPool(10, delay)
	return s, s.SetMeters(start, []account.Meter{{Limit: 1, Params: bucket(1000, limit.Hour, 1000)}})[0]
}

// takeN charges n tokens, one by one.
func takeN(s *account.Store, now limit.Instant, k limit.Key, ref account.Ref, n int) {
	for range n {
		take(s, now, k, ref)
	}
}

// sweep is Sweep of all counters, as collect has it.
func sweep(s *account.Store) func(limit.Instant, int, func(*share.Counter) bool) {
	return func(now limit.Instant, most int, f func(*share.Counter) bool) { s.Sweep(now, most, true, f) }
}

// collect returns what Changed or Sweep hands over, by key.
func collect(hand func(limit.Instant, int, func(*share.Counter) bool), now limit.Instant, most int, keep bool) map[limit.Key]int {
	got := map[limit.Key]int{}
	hand(now, most, func(c *share.Counter) bool {
		got[c.Key]++
		return keep
	})
	return got
}

func TestACounterIsSharedOnceTooMuchIsUntold(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes int
		meter account.Meter
		take  []limit.Amount // a second apart
		want  bool
	}{
		{"a node that is alone shares nothing", 1, account.Meter{}, []limit.Amount{900}, false},
		{"less than a node's allowance", 10, account.Meter{}, []limit.Amount{9}, false},
		{"as much", 10, account.Meter{}, []limit.Amount{10}, true},
		{"what was given back is not gone", 10, account.Meter{}, []limit.Amount{9, -5, 5}, false},
		{"what leaks in a second is next to nothing", 10, account.Meter{}, []limit.Amount{5, 4}, false},
		{"it adds up", 10, account.Meter{}, []limit.Amount{5, 6}, true},
		{"a cautious limit tells the first token", 10, account.Meter{Cautious: true}, []limit.Amount{1}, true},
		{"a limit of each node's own tells none", 10, account.Meter{Local: true}, []limit.Amount{900, -5, 900}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, account.Options{})
			c.meter.Limit, c.meter.Params = 1, bucket(1000, limit.Hour, 1000)
			ref := s.SetMeters(start, []account.Meter{c.meter})[0]
			s.SetPool(c.nodes, delay)
			now := start
			for _, cost := range c.take {
				s.Charge(now, []account.Charge{{Key: key(1), Meter: ref, Cost: cost}})
				now = now.Add(limit.Second)
			}
			if got := s.Shared() == 1; got != c.want {
				t.Errorf("%d counters are shared, want %v", s.Shared(), c.want)
			}
			if got := collect(s.Changed, now, 10, true); len(got) == 1 != c.want {
				t.Errorf("changed: %v, want %v", got, c.want)
			}
			s.Flush(now, 1000) // as a node does that leaves
			if want := c.want || c.nodes > 1 && !c.meter.Local; s.Shared() == 1 != want {
				t.Errorf("after a Flush %d counters are shared, want %v", s.Shared(), want)
			}
		})
	}
}

func TestWhatAFirstReportSays(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	takeN(s, start, key(1), ref, 7)
	takeN(s, start.Add(limit.Millisecond), key(1), ref, 5)
	s.Changed(start.Add(2*limit.Millisecond), 10, func(c *share.Counter) bool {
		if !c.Due(start.Add(2 * limit.Millisecond)) {
			t.Error("the home is not to hear of it")
		}
		rep := c.Report(start.Add(2 * limit.Millisecond))
		if rep.Taken != 12 || rep.Era == 0 || !rep.Fresh || rep.Level < 988 || rep.Level > 988.01 {
			t.Errorf("%+v, want a fresh one of 12 tokens with 988 left", rep)
		}
		if c.ID != (share.ID{Key: key(1), Limit: 1}) {
			t.Errorf("it is of %+v", c.ID)
		}
		return true
	})
}

func TestChangedHandsEachCounterOverOnce(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	all := map[limit.Key]int{}
	for i := range uint64(100) {
		takeN(s, start, key(i), ref, 20)
		all[key(i)] = 1
	}
	take(s, start, key(1000), ref) // not shared
	got := map[limit.Key]int{}
	for rounds := 0; len(got) < 100; rounds++ {
		if rounds > 15 {
			t.Fatalf("%d of 100 counters in 15 rounds", len(got))
		}
		some := collect(s.Changed, start, 7, true)
		if len(some) > 7 {
			t.Fatalf("%d counters, want at most 7", len(some))
		}
		for k, n := range some {
			got[k] += n
		}
	}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	if got := collect(s.Changed, start, 1000, true); len(got) > 0 {
		t.Errorf("handed over again: %v", got)
	}
	take(s, start, key(5), ref)
	s.Charge(start, []account.Charge{{Key: key(6), Meter: ref, Cost: 2000}}) // refused: others should know what is asked for
	s.With(start, key(7), ref, false, func(*share.Counter) {})               // nothing was asked for
	if got := collect(s.Changed, start, 1000, true); !cmp.Equal(got, map[limit.Key]int{key(5): 1, key(6): 1}) {
		t.Errorf("after requests: %v, want those of counters 5 and 6", got)
	}
}

func TestSweepHandsEveryCounterOver(t *testing.T) {
	for _, n := range []int{1, 2, 15, 16, 17, 300} {
		t.Run(fmt.Sprintf("%d counters", n), func(t *testing.T) {
			s, ref := pooled(t, account.Options{})
			for i := range uint64(n) {
				takeN(s, start, key(i), ref, 20)
			}
			got := map[limit.Key]int{}
			step := n/10 + 1
			for range (n + step - 1) / step {
				for k, times := range collect(sweep(s), start, step, true) {
					got[k] += times
				}
			}
			if len(got) != n {
				t.Errorf("%d counters in one round, want %d", len(got), n)
			}
		})
	}
	empty := newStore(t, account.Options{})
	if got := collect(sweep(empty), start, 100, true); len(got) > 0 {
		t.Errorf("an empty store: %v", got)
	}
}

// A counter whose Local is forgotten counts on, and another one takes its place.
func TestLocalsAreForgottenAndReused(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	var eras []uint16
	for round := range 50 {
		for i := range uint64(40) {
			takeN(s, start, key(i), ref, 11)
		}
		if got := s.Shared(); got != 40 {
			t.Fatalf("round %d: %d counters are shared, want 40", round, got)
		}
		forget := sweep(s)
		if round%2 == 0 {
			forget = s.Changed
		}
		forget(start, 1000, func(c *share.Counter) bool {
			if c.Key == key(3) {
				eras = append(eras, c.Local.Era)
			}
			c.Report(start) // all is told
			return false
		})
		if got := s.Shared(); got != 0 {
			t.Fatalf("round %d: %d counters are shared, want none", round, got)
		}
	}
	slices.Sort(eras)
	if n := len(slices.Compact(eras)); n != 50 {
		t.Errorf("a counter that was shared 50 times had %d eras", n)
	}
	if got := left(s, start, key(3), ref); got != 1000-50*11 {
		t.Errorf("%d left, want %d", got, 1000-50*11)
	}
	// All of it was told. So nine more tokens are not worth a word, and the tenth is.
	takeN(s, start, key(3), ref, 9)
	if got := s.Shared(); got != 0 {
		t.Errorf("%d counters are shared after 9 tokens, want none", got)
	}
	take(s, start, key(3), ref)
	if got := s.Shared(); got != 1 {
		t.Errorf("%d counters are shared after 10 tokens, want 1", got)
	}
}

func TestTokensThatNobodyWasToldOfOutliveTheLocal(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	s.With(start, key(1), ref, true, func(*share.Counter) {}) // shared, as somebody told of it
	takeN(s, start, key(1), ref, 6)
	s.Sweep(start, 10, true, func(*share.Counter) bool { return false })
	takeN(s, start, key(1), ref, 4)
	told := int64(0)
	s.Changed(start, 10, func(c *share.Counter) bool {
		told = c.Report(start).Taken
		return true
	})
	if told != 10 {
		t.Errorf("%d tokens are told, want the 6 and the 4", told)
	}
}

func TestWith(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	if s.With(start, key(1), ref, false, func(*share.Counter) { t.Error("called for a counter that there is not") }) {
		t.Error("With() = true for a counter that there is not")
	}
	if s.With(start, key(1), 77, true, func(*share.Counter) { t.Error("called for an unknown meter") }) {
		t.Error("With() = true for an unknown meter")
	}
	if s.Has(key(1)) {
		t.Fatal("a counter was made")
	}
	ok := s.With(start, key(1), ref, true, func(c *share.Counter) {
		c.Settle(start)
		c.Hear(start, &share.State{Level: 400, Rate: 10, Demand: 20, Others: 2})
	})
	if !ok || s.Shared() != 1 {
		t.Fatalf("With() = %v, and %d counters are shared", ok, s.Shared())
	}
	if got := left(s, start, key(1), ref); got != 400 {
		t.Errorf("%d left, want 400", got)
	}
	if got := left(s, start.Add(limit.Second), key(1), ref); got != 390 {
		t.Errorf("%d left a second later, want 390: others go on", got)
	}
	if got := usage(s, 1).Active; got != 1 {
		t.Errorf("%d counters are active, want 1", got)
	}
}

// A leaving node tells what nobody was told of, however little that is.
func TestFlush(t *testing.T) {
	s, ref := pooled(t, account.Options{MaxKeys: 2000})
	for i := range uint64(500) {
		takeN(s, start, key(i), ref, 1+int(i%9))
	}
	takeN(s, start, key(500), ref, 30) // shared already
	calls := 0
	for !s.Flush(start, 20) {
		if calls++; calls > 100 {
			t.Fatal("Flush does not end")
		}
	}
	if calls < 20 {
		t.Errorf("Flush looked at 501 counters in %d calls of 20 at most", calls)
	}
	if got := s.Shared(); got != 501 {
		t.Errorf("%d counters are shared, want all 501", got)
	}
	total := int64(0)
	s.Changed(start, 1000, func(c *share.Counter) bool {
		if !c.Local.Owes(start) {
			t.Errorf("nothing is owed of %v", c.Key)
		}
		total += c.Report(start).Taken
		return true
	})
	want := int64(30)
	for i := range 500 {
		want += int64(1 + i%9)
	}
	if total != want {
		t.Errorf("%d tokens are told, want %d", total, want)
	}
	if !s.Flush(start, 10_000) {
		t.Error("a second Flush found more")
	}
}

// What a node took before it had peers it tells as far as it is still gone.
func TestWhatALoneNodeTook(t *testing.T) {
	for _, c := range []struct {
		name string
		p    decide.Params
		take []limit.Amount // a second apart
		want int64
	}{
		{"nothing came in again", bucket(1000, limit.Hour, 1000), []limit.Amount{300, 1, 99}, 400},
		{"all but the last came in again", bucket(100, limit.Second, 100), []limit.Amount{100, 100, 100, 100, 7}, 7},
		{"some came in again", bucket(10, limit.Second, 100), []limit.Amount{30, 30, 30, 0}, 60},
		{"what was given back is not gone", bucket(1000, limit.Hour, 1000), []limit.Amount{300, -500, 200, -100}, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, account.Options{})
			ref := s.SetMeters(start, []account.Meter{{Limit: 1, Params: c.p}})[0]
			now := start
			for i, cost := range c.take {
				now = start.Add(limit.Span(i) * limit.Second)
				s.Charge(now, []account.Charge{{Key: key(1), Meter: ref, Cost: cost}})
			}
			s.SetPool(2, delay)
			take(s, now, key(1), ref) // the first request that peers are to hear of
			if !s.Flush(now, 1000) {
				t.Fatal("one Flush of all counters is not enough")
			}
			told := int64(-1)
			s.Changed(now, 10, func(c *share.Counter) bool {
				told = c.Report(now).Taken
				return true
			})
			if told != c.want+1 {
				t.Errorf("%d tokens are told, want %d and 1 after that", told, c.want)
			}
		})
	}
}

func TestTheRuleFollowsThePool(t *testing.T) {
	s := newStore(t, account.Options{})
	ref := meters(s, bucket(1000, limit.Hour, 1000))[0]
	alone := func() bool { _, r := s.Rule(ref); return r.Alone() }
	if !alone() {
		t.Error("a store that nobody told of a pool shares")
	}
	s.SetPool(2, delay)
	if alone() {
		t.Error("one of two nodes shares nothing")
	}
	if p, r := s.Rule(ref); *p != bucket(1000, limit.Hour, 1000) || *r != share.NewRule(p, 2, delay, false) {
		t.Errorf("Rule() = %+v, %+v", p, r)
	}
	fast := bucket(2000, limit.Hour, 2000)
	ref = s.SetMeters(start, []account.Meter{{Limit: 1, Params: fast}})[0]
	if _, r := s.Rule(ref); *r != share.NewRule(&fast, 2, delay, false) {
		t.Errorf("after another limit the rule is %+v", r)
	}
	cautious := s.SetMeters(start, []account.Meter{{Limit: 1, Params: fast, Cautious: true}})[0]
	if _, r := s.Rule(cautious); *r != share.NewRule(&fast, 2, delay, true) {
		t.Errorf("after it became cautious the rule is %+v", r)
	}
	local := s.SetMeters(start, []account.Meter{{Limit: 1, Params: fast, Local: true}})[0]
	if _, r := s.Rule(local); !r.Alone() || !s.Local(local) || s.Local(cautious) {
		t.Errorf("after it became the node's own the rule is %+v", r)
	}
	s.SetPool(1, delay)
	if !alone() {
		t.Error("a node that is alone again shares")
	}
}
