package account_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// TestCountersAreForgottenAtTheirInstant: whatever is charged and however time
// moves on, a counter is there until it says nothing any more, and is forgotten
// within two ticks of the wheel of that instant. (Tokens that are given back make
// the instant earlier; the counter then stays as long as it would have without, so
// that other nodes hear of it.)
func TestCountersAreForgottenAtTheirInstant(t *testing.T) {
	const late = 128 * limit.Millisecond
	rapid.Check(t, func(t *rapid.T) {
		params := []decide.Params{
			bucket(10, limit.Second, 10), bucket(100, limit.Hour, 100), bucket(1, limit.Day, 30), bucket(1, 8784*limit.Hour, 2),
			must(decide.SlidingWindow(10, limit.Minute)), must(decide.FixedWindow(10, 10*limit.Minute)), must(decide.CalendarWindow(10, decide.Month)),
		}
		s, err := account.New(account.Options{Shards: 1 << rapid.IntRange(0, 2).Draw(t, "shards")})
		if err != nil {
			t.Fatal(err)
		}
		refs := meters(s, params...)
		states := map[uint64]decide.State{}
		of := func(k uint64) int { return int(k) % len(params) }
		now := start
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			for _, k := range rapid.SliceOfN(rapid.Uint64Range(0, 29), 0, 5).Draw(t, "keys") {
				cost := limit.Amount(rapid.Int64Range(0, 3).Draw(t, "cost"))
				s.Charge(now, []account.Charge{{Key: key(k), Meter: refs[of(k)], Cost: cost}})
				states[k], _ = params[of(k)].Take(states[k], now, cost)
			}
			most := rapid.SampledFrom([]limit.Span{limit.Second, limit.Minute, limit.Hour, 20 * limit.Day, 500 * limit.Day}).Draw(t, "scale")
			now = now.Add(limit.Span(rapid.Int64Range(0, int64(most)).Draw(t, "gap")))
			budget := rapid.IntRange(1, 10).Draw(t, "budget")
			for range 60 { // what is filed far ahead comes down a level at a time
				s.Expire(now, budget)
			}
			for k, state := range states {
				idle := params[of(k)].IdleAt(state)
				if there := s.Has(key(k)); there && idle.Add(late) <= now || !there && idle > now {
					t.Fatalf("%v after the start the counter of %d is there: %v; it says nothing from %v on", now.Sub(start).Duration(), k, there, idle.Sub(start).Duration())
				}
				if !s.Has(key(k)) {
					delete(states, k)
				}
			}
		}
	})
}

// A budget bounds the work of one call, and what is left comes up next time.
func TestExpiryKeepsToItsBudget(t *testing.T) {
	const keys = 10_000
	s := newStore(t, account.Options{})
	ref := meters(s, bucket(10, limit.Second, 10))[0]
	for i := range uint64(keys) {
		take(s, start, key(i), ref)
	}
	calls, now := 0, start.Add(limit.Second)
	for s.Stats().Keys > 0 {
		if n := s.Expire(now, 100); n > 100 {
			t.Fatalf("%d counters were forgotten with a budget of 100", n)
		}
		if calls++; calls > 10*keys {
			t.Fatalf("%d counters are still there", s.Stats().Keys)
		}
	}
	if got := s.Stats().Expired; got != keys {
		t.Errorf("%d counters expired, want %d", got, keys)
	}
}
