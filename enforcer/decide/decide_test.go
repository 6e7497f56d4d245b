package decide_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const start = limit.Instant(1_760_000_000_000_000_000) // 2025-10-09T08:53:20Z

func must(p decide.Params, err error) decide.Params {
	if err != nil {
		panic(err)
	}
	return p
}

func bucket(requests limit.Amount, per limit.Span, burst limit.Amount) decide.Params {
	return must(decide.TokenBucket(requests, per, burst))
}

func fixed(requests limit.Amount, per limit.Span) decide.Params {
	return must(decide.FixedWindow(requests, per))
}

func sliding(requests limit.Amount, per limit.Span) decide.Params {
	return must(decide.SlidingWindow(requests, per))
}

func calendar(requests limit.Amount, c decide.Calendar) decide.Params {
	return must(decide.CalendarWindow(requests, c))
}

func date(year int, month time.Month, day, hour, minute, second int) limit.Instant {
	return limit.InstantOf(time.Date(year, month, day, hour, minute, second, 0, time.UTC))
}

func TestDecisions(t *testing.T) {
	type step struct {
		at       limit.Instant
		cost     limit.Amount
		admitted bool
		left     limit.Amount // Remaining afterwards
		retry    limit.Span   // RetryAfter of the same cost afterwards, when denied
		debit    limit.Amount // taken by a peer before the cost is asked for
	}
	ms, s := limit.Millisecond, limit.Second
	for _, c := range []struct {
		name   string
		params decide.Params
		steps  []step
	}{
		{"a bucket is full at first and refills evenly", bucket(10, s, 3), []step{
			{at: start, cost: 2, admitted: true, left: 1},
			{at: start, cost: 2, admitted: false, left: 1, retry: 100 * ms},
			{at: start.Add(100*ms - 1), cost: 2, admitted: false, left: 1, retry: 1},
			{at: start.Add(100 * ms), cost: 2, admitted: true, left: 0},
			{at: start.Add(10 * s), cost: 3, admitted: true, left: 0},
		}},
		{"a third of a second is exact", bucket(3, s, 1), []step{
			{at: start, cost: 1, admitted: true},
			{at: start.Add(333333333), cost: 1, admitted: false, retry: 1},
			{at: start.Add(333333334), cost: 1, admitted: true},
			{at: start.Add(666666667), cost: 1, admitted: false, retry: 1},
			{at: start.Add(666666668), cost: 1, admitted: true},
		}},
		{"a cost above the burst is never admitted", bucket(10, s, 3), []step{
			{at: start, cost: 4, admitted: false, left: 3, retry: limit.Forever},
			{at: start, cost: math.MaxUint32, admitted: false, left: 3, retry: limit.Forever},
			{at: start, cost: limit.MaxAmount, admitted: false, left: 3, retry: limit.Forever},
		}},
		{"a cost of 0 only looks", bucket(10, s, 1), []step{
			{at: start, cost: 0, admitted: true, left: 1},
			{at: start, cost: 1, admitted: true, left: 0},
			{at: start, cost: 0, admitted: false, left: 0, retry: 100 * ms},
		}},
		{"a negative cost gives back, never above full", bucket(10, s, 3), []step{
			{at: start, cost: 3, admitted: true, left: 0},
			{at: start, cost: -1, admitted: true, left: 1},
			{at: start, cost: -100, admitted: true, left: 3},
			{at: start, cost: math.MinInt64, admitted: true, left: 3},
			{at: start, cost: 4, admitted: false, left: 3, retry: limit.Forever},
		}},
		{"a clock that steps back grants nothing", bucket(10, s, 1), []step{
			{at: start, cost: 1, admitted: true},
			{at: start.Add(-s), cost: 1, admitted: false, retry: 1100 * ms},
			{at: start.Add(100 * ms), cost: 1, admitted: true},
		}},
		{"a debt is repaid before anything is admitted", bucket(10, s, 3), []step{
			{at: start, debit: 13, cost: 1, admitted: false, left: 0, retry: 1100 * ms},
			{at: start.Add(1100 * ms), cost: 1, admitted: true, left: 0},
		}},
		{"a billion a second for a while", bucket(1_000_000_000, s, 1_000_000_000), []step{
			{at: start, cost: 1_000_000_000, admitted: true, left: 0},
			{at: start.Add(1), cost: 1, admitted: true, left: 0},
			{at: start.Add(1), cost: 1, admitted: false, retry: 1},
		}},
		{"a fixed window is aligned to the epoch", fixed(2, 10*s), []step{
			{at: start.Add(9 * s), cost: 2, admitted: true, left: 0},
			{at: start.Add(10*s - 1), cost: 1, admitted: false, retry: 1},
			{at: start.Add(10 * s), cost: 2, admitted: true, left: 0},
			{at: start.Add(10 * s), cost: -1, admitted: true, left: 1},
			{at: start.Add(10 * s), cost: 3, admitted: false, left: 1, retry: limit.Forever},
		}},
		{"the debt of a fixed window is carried over", fixed(2, 10*s), []step{
			{at: start, debit: 5, cost: 1, admitted: false, retry: 20 * s},
			{at: start.Add(10 * s), cost: 1, admitted: false, retry: 10 * s},
			{at: start.Add(20 * s), cost: 1, admitted: true, left: 0},
			{at: start.Add(30 * s), cost: 2, admitted: true, left: 0},
		}},
		{"a fixed window whose clock steps back stays", fixed(1, 10*s), []step{
			{at: start, cost: 1, admitted: true},
			{at: start.Add(-s), cost: 1, admitted: false, retry: 11 * s},
		}},
		{"a sliding window fades by thirds", sliding(6, 3*s), []step{
			{at: start, cost: 6, admitted: true, left: 0},                          // begins a sub-window: start is 2/3 into a 3 s window
			{at: start.Add(2999 * ms), cost: 1, admitted: false, retry: 167666667}, // rounded below
			{at: start.Add(3 * s), cost: 1, admitted: false, retry: 166666667},     // 6·(1-1/6) = 5
			{at: start.Add(3*s + 166666667), cost: 1, admitted: true, left: 0},
			{at: start.Add(3*s + 500*ms), cost: 2, admitted: true, left: 0},
			{at: start.Add(4 * s), cost: 3, admitted: true, left: 0},
		}},
		{"the largest cost of the protocol in the largest bucket", bucket(decide.MaxRequests, decide.MaxPer, decide.MaxRequests), []step{
			{at: start, cost: math.MaxUint32, admitted: false, left: decide.MaxRequests, retry: limit.Forever},
			{at: start, cost: decide.MaxRequests, admitted: true, left: 0},
			{at: start, debit: math.MaxUint32, cost: 1, admitted: false, left: 0, retry: limit.Span(4294967296 * 8784 * 3600)}, // all but a token's worth: 4294967295+1 of 31622400 ns
			{at: start, cost: -math.MaxUint32, admitted: true, left: 0},
			{at: start, cost: -decide.MaxRequests, admitted: true, left: decide.MaxRequests},
		}},
		{"the largest costs in the largest fixed window", fixed(decide.MaxRequests, decide.MaxPer), []step{
			{at: 0, cost: math.MaxUint32, admitted: false, left: decide.MaxRequests, retry: limit.Forever},
			{at: 0, debit: math.MaxUint32, cost: 1, admitted: false, left: 0, retry: 4 * decide.MaxPer},
			{at: 0, debit: limit.MaxAmount, cost: 1, admitted: false, left: 0, retry: limit.Forever},
			{at: 0, cost: math.MinInt64, admitted: true, left: decide.MaxRequests},
		}},
		{"the largest costs in the largest sliding window", sliding(decide.MaxRequests, decide.MaxPer), []step{
			{at: 0, cost: math.MaxUint32, admitted: false, left: decide.MaxRequests, retry: limit.Forever},
			{at: 0, debit: limit.MaxAmount, cost: decide.MaxRequests, admitted: false, left: 0, retry: decide.MaxPer / 3 * 4},
			{at: 0, cost: math.MinInt64, admitted: true, left: decide.MaxRequests},
		}},
		{"a clock that steps back into a sliding window's past grants nothing", sliding(6, 3*s), []step{
			{at: start, cost: 6, admitted: true},
			{at: start.Add(-s), cost: 1, admitted: false, retry: 4166666667},
			{at: start.Add(-limit.Hour), cost: 0, admitted: false, retry: 3603166666667},
			{at: start.Add(3*s + 166666667), cost: 1, admitted: true},
		}},
		{"the end of time", bucket(1, s, 1), []step{
			{at: limit.Never, cost: 1, admitted: true},
			{at: limit.Never, cost: 1, admitted: false, retry: s},
			{at: math.MinInt64, cost: 1, admitted: false, retry: limit.Span(math.MaxInt64 - int64(decide.MaxFill) - 1 + int64(s))},
		}},
		{"a calendar at the end of time", calendar(1, decide.Year), []step{
			{at: limit.Never, cost: 1, admitted: true},
		}},
		{"a day in UTC", calendar(1, decide.Day), []step{
			{at: date(2024, 2, 29, 0, 0, 0), cost: 1, admitted: true},
			{at: date(2024, 2, 29, 23, 59, 59), cost: 1, admitted: false, retry: s},
			{at: date(2024, 3, 1, 0, 0, 0), cost: 1, admitted: true},
		}},
		{"a week begins on Monday", calendar(1, decide.Week), []step{
			{at: date(2026, 11, 22, 23, 59, 59), cost: 1, admitted: true}, // Sunday
			{at: date(2026, 11, 23, 0, 0, 0), cost: 1, admitted: true},    // Monday
			{at: date(2026, 11, 29, 23, 59, 59), cost: 1, admitted: false, retry: s},
		}},
		{"February of a leap year has 29 days", calendar(1, decide.Month), []step{
			{at: date(2024, 2, 1, 0, 0, 0), cost: 1, admitted: true},
			{at: date(2024, 2, 29, 23, 59, 59), cost: 1, admitted: false, retry: s},
			{at: date(2024, 3, 1, 0, 0, 0), cost: 1, admitted: true},
		}},
		{"a leap year has 366 days", calendar(1, decide.Year), []step{
			{at: date(2024, 1, 1, 0, 0, 0), cost: 1, admitted: true},
			{at: date(2024, 1, 1, 0, 0, 0), cost: 1, admitted: false, retry: 366 * limit.Day},
			{at: date(2025, 1, 1, 0, 0, 0), cost: 1, admitted: true},
			{at: date(2025, 12, 31, 0, 0, 0), cost: 1, admitted: false, retry: limit.Day},
		}},
		{"1900 and 2100 are no leap years, 2000 is one", calendar(1, decide.Month), []step{
			{at: date(2000, 2, 29, 23, 59, 59), cost: 1, admitted: true},
			{at: date(2000, 2, 29, 23, 59, 59), cost: 1, admitted: false, retry: s},
			{at: date(2100, 2, 28, 23, 59, 59), cost: 1, admitted: true},
			{at: date(2100, 2, 28, 23, 59, 59), cost: 1, admitted: false, retry: s},
			{at: date(2100, 3, 1, 0, 0, 0), cost: 1, admitted: true},
		}},
		{"the days of a year that has 366 of them, in a window of 8784 hours", fixed(1, 8784*limit.Hour), []step{
			{at: 0, cost: 1, admitted: true},
			{at: date(1970, 12, 31, 23, 59, 59), cost: 1, admitted: false, retry: limit.Day + s},
			{at: date(1971, 1, 2, 0, 0, 0), cost: 1, admitted: true},
		}},
		{"the debt of a month is repaid by the next ones", calendar(2, decide.Month), []step{
			{at: date(2025, 12, 31, 0, 0, 0), debit: 5, cost: 1, admitted: false, retry: 32 * limit.Day},
			{at: date(2026, 2, 1, 0, 0, 0), cost: 1, admitted: true, left: 0},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var state decide.State
			for i, step := range c.steps {
				state = c.params.Debit(state, step.at, step.debit)
				next, admitted := c.params.Take(state, step.at, step.cost)
				left := c.params.Describe(next, step.at).Remaining
				if admitted != step.admitted || left != step.left {
					t.Fatalf("step %d: cost %d: admitted %v with %d left, want %v with %d left", i, step.cost, admitted, left, step.admitted, step.left)
				}
				if !admitted {
					if retry := c.params.RetryAfter(state, step.at, step.cost); retry != step.retry {
						t.Fatalf("step %d: cost %d: retry after %v, want %v", i, step.cost, retry.Duration(), step.retry.Duration())
					}
				}
				state = next
			}
		})
	}
}

func TestRefusedParameters(t *testing.T) {
	for _, c := range []struct {
		name string
		make func() (decide.Params, error)
		want string
	}{
		{"no requests", func() (decide.Params, error) { return decide.FixedWindow(0, limit.Second) }, "requests is 0: use 1 to 1000000000"},
		{"too many requests", func() (decide.Params, error) { return decide.SlidingWindow(1_000_000_001, limit.Second) }, "requests is 1000000001: use 1 to 1000000000"},
		{"too short", func() (decide.Params, error) { return decide.FixedWindow(1, limit.Millisecond-1) }, "per is 999.999µs: use 1ms to 8784h"},
		{"too long", func() (decide.Params, error) { return decide.FixedWindow(1, 8785*limit.Hour) }, "per is 8785h0m0s: use 1ms to 8784h"},
		{"no burst", func() (decide.Params, error) { return decide.TokenBucket(1, limit.Second, 0) }, "burst is 0: use 1 to 1000000000"},
		{"a burst that never refills", func() (decide.Params, error) { return decide.TokenBucket(1, 8784*limit.Hour, 101) }, "a burst of 101 at 1 per 8784h0m0s takes more than 100 years to refill: use a smaller burst or a higher rate"},
		{"no calendar period", func() (decide.Params, error) { return decide.CalendarWindow(1, 9) }, "calendar period 9: use Day, Week, Month or Year"},
	} {
		if _, err := c.make(); err == nil || err.Error() != c.want {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestABucketDoesNotDrift(t *testing.T) {
	// 10^12 requests at 7 per 3 ns-unfriendly milliseconds, in leaps of a million.
	p := bucket(999_999_937, 7919*limit.Millisecond, 1_000_000)
	state, now, taken := decide.State{}, start, limit.Amount(0)
	for taken < 1_000_000_000_000 {
		next, ok := p.Take(state, now, 1_000_000)
		if !ok {
			now = now.Add(p.RetryAfter(state, now, 1_000_000))
			continue
		}
		state, taken = next, taken+1_000_000
	}
	elapsed := float64(now.Sub(start))
	want := float64(taken-1_000_000) * float64(7919*limit.Millisecond) / 999_999_937
	if math.Abs(elapsed-want) > float64(limit.Millisecond) { // the clock has whole nanoseconds, the bucket does not lose their fractions
		t.Errorf("10^12 tokens took %v ns, want %v", elapsed, want)
	}
}

// params draws valid parameters of any algorithm.
func params(t *rapid.T) decide.Params {
	requests := limit.Amount(rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, 1_000_000_000)).Draw(t, "requests"))
	per := limit.Span(rapid.OneOf(rapid.Int64Range(int64(limit.Millisecond), int64(10*limit.Second)), rapid.Int64Range(int64(limit.Millisecond), int64(8784*limit.Hour))).Draw(t, "per"))
	switch rapid.IntRange(0, 3).Draw(t, "algorithm") {
	case 0:
		burst := limit.Amount(rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, 1_000_000_000)).Draw(t, "burst"))
		p, err := decide.TokenBucket(requests, per, burst)
		if err != nil {
			t.Skip(err)
		}
		return p
	case 1:
		return sliding(requests, per)
	case 2:
		return fixed(requests, per)
	}
	return calendar(requests, decide.Calendar(rapid.IntRange(1, 4).Draw(t, "calendar")))
}

// history draws a state by a sequence of takes and debits, and the instant after.
func history(t *rapid.T, p *decide.Params) (decide.State, limit.Instant) {
	state, now := decide.State{}, start
	for range rapid.IntRange(0, 12).Draw(t, "steps") {
		now = now.Add(limit.Span(rapid.Int64Range(0, int64(p.Per())).Draw(t, "gap")))
		cost := limit.Amount(rapid.Int64Range(-2, int64(p.Burst())).Draw(t, "cost"))
		state, _ = p.Take(state, now, cost)
		if rapid.IntRange(0, 5).Draw(t, "peer") == 0 {
			state = p.Debit(state, now, limit.Amount(rapid.Int64Range(0, 2*int64(p.Burst())).Draw(t, "debit")))
		}
	}
	return state, now
}

func TestReadingsAgreeWithDecisions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params(t)
		state, now := history(t, &p)
		cost := limit.Amount(rapid.Int64Range(1, int64(p.Burst())).Draw(t, "asked"))
		next, admitted := p.Take(state, now, cost)
		remaining := p.Describe(state, now).Remaining
		if admitted != (cost <= remaining) {
			t.Fatalf("cost %d admitted %v with %d remaining", cost, admitted, remaining)
		}
		if admitted {
			if got := p.Describe(next, now).Remaining; got != remaining-cost {
				t.Fatalf("%d remaining after %d of %d", got, cost, remaining)
			}
			return
		}
		if next != state {
			t.Fatal("a denied cost changed the state")
		}
		retry := p.RetryAfter(state, now, cost)
		if _, ok := p.Take(state, now.Add(retry), cost); !ok {
			t.Fatalf("cost %d is not admitted after %v", cost, retry.Duration())
		}
		if _, ok := p.Take(state, now.Add(retry-1), cost); ok {
			t.Fatalf("cost %d is admitted before %v", cost, retry.Duration())
		}
	})
}

func TestAnIdleStateSaysNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params(t)
		state, now := history(t, &p)
		idle := max(now, p.IdleAt(state))
		if got := p.Used(state, idle); got != 0 {
			t.Fatalf("%d tokens are gone when idle", got)
		}
		if idle > now && p.Used(state, idle-1) == 0 {
			t.Fatal("it was idle before")
		}
		a, okA := p.Take(state, idle, p.Burst())
		b, okB := p.Take(decide.State{}, idle, p.Burst())
		if okA != okB || p.Used(a, idle) != p.Used(b, idle) || p.IdleAt(a) != p.IdleAt(b) {
			t.Fatal("an idle state does not behave as the initial one")
		}
	})
}

// A state never fills while time stands still or steps back: what is used at an
// instant is no less at an earlier one.
func TestUseOnlyFallsWithTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params(t)
		state, now := history(t, &p)
		at := rapid.Custom(func(t *rapid.T) limit.Instant {
			return now.Add(limit.Span(rapid.OneOf(rapid.Int64Range(-int64(p.Per()), int64(p.Per())), rapid.Int64()).Draw(t, "away")))
		})
		early, late := at.Draw(t, "early"), at.Draw(t, "late")
		early, late = min(early, late), max(early, late)
		if a, b := p.Used(state, early), p.Used(state, late); a < b {
			t.Fatalf("%d are used at %v, and %d later at %v", a, early, b, late)
		}
	})
}

// What is taken and given back at once leaves a state as it was, and whatever is
// given back never makes it more than full.
func TestGivingBackUndoesTaking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params(t)
		state, now := history(t, &p)
		used := p.Used(state, now)
		n := limit.Amount(rapid.Int64Range(1, int64(p.Burst())).Draw(t, "cost"))
		if next, ok := p.Take(state, now, n); ok {
			back, _ := p.Take(next, now, -n)
			if got := p.Used(back, now); got != used {
				t.Fatalf("%d are used after %d were taken and given back, %d before", got, n, used)
			}
		}
		n = limit.Amount(rapid.OneOf(rapid.Int64Range(1, 2*int64(p.Burst())), rapid.Int64Min(1)).Draw(t, "gift"))
		back, ok := p.Take(state, now, -n)
		least := max(0, used-n)
		most := least
		if p.Algorithm() == decide.Sliding {
			most = used // what is given back to the oldest part of a sliding window has faded as that has
		}
		if got := p.Used(back, now); !ok || got < least || got > most {
			t.Fatalf("%d of %d are used after %d were given back, want %d to %d", got, used, n, least, most)
		}
	})
}

// A cost of 0 says whether a cost of 1 would be admitted, and changes nothing.
func TestLookingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params(t)
		state, now := history(t, &p)
		next, looked := p.Take(state, now, 0)
		if _, taken := p.Take(state, now, 1); looked != taken || next != state {
			t.Fatalf("a look said %v and left %v of %v, a cost of 1 says %v", looked, next, state, taken)
		}
	})
}

func TestRescaleKeepsWhatWasUsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := params(t), params(t)
		state, now := history(t, &from)
		used := from.Used(state, now)
		if got, want := to.Used(decide.Rescale(state, now, &from, &to), now), min(used, to.Burst()); from != to && got != want {
			t.Fatalf("%d tokens are gone after the change, want %d", got, want)
		}
		if decide.Rescale(state, now, &from, &from) != state {
			t.Fatal("no change changed the state")
		}
	})
}
