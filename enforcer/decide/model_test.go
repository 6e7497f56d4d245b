package decide_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// event is a cost that was admitted.
type event struct {
	at   limit.Instant
	cost limit.Amount
}

// arrivals draws the requests that the models and the algorithms both see: some
// bursts, some pauses, in time that mostly moves on.
func arrivals(t *rapid.T, p *decide.Params) []event {
	var all []event
	now := start.Add(limit.Span(rapid.Int64Range(0, int64(p.Per())).Draw(t, "offset")))
	for range rapid.IntRange(1, 60).Draw(t, "arrivals") {
		now = now.Add(limit.Span(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, int64(p.Per())/4), rapid.Int64Range(0, 2*int64(p.Per()))).Draw(t, "gap")))
		all = append(all, event{now, cost(t, p)})
	}
	return all
}

// cost draws a cost: mostly one that a few of fill the quota, now and then one
// that it can never hold.
func cost(t *rapid.T, p *decide.Params) limit.Amount {
	burst := int64(p.Burst())
	return limit.Amount(rapid.OneOf(
		rapid.Int64Range(1, max(1, min(burst, 5))), rapid.Int64Range(max(1, burst/5), burst), rapid.Int64Range(1, math.MaxUint32),
	).Draw(t, "cost"))
}

// numbers draws the numbers of a rate, small ones and those at the bounds.
func numbers(t *rapid.T) (requests, burst limit.Amount, per limit.Span) {
	amount := rapid.OneOf(rapid.Int64Range(1, 12), rapid.Int64Range(1, 12), rapid.Int64Range(1, int64(decide.MaxRequests)), rapid.Just(int64(decide.MaxRequests)))
	return limit.Amount(amount.Draw(t, "requests")),
		limit.Amount(amount.Draw(t, "burst")),
		limit.Span(rapid.OneOf(rapid.Int64Range(int64(decide.MinPer), int64(10*limit.Second)), rapid.Int64Range(int64(decide.MinPer), int64(decide.MaxPer))).Draw(t, "per"))
}

// TestBucketAgainstItsDefinition: at most burst + t·requests/per tokens in any
// stretch of t, and nothing is refused that this definition admits.
func TestBucketAgainstItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requests, burst, per := numbers(t)
		p, err := decide.TokenBucket(requests, per, burst)
		if err != nil {
			t.Skip(err)
		}
		var state decide.State
		var admitted []event
		for _, a := range arrivals(t, &p) {
			want := true
			sum := a.cost
			for i := len(admitted) - 1; i >= -1; i-- {
				// The stretch from admitted[i+1] (or a itself) to a.
				from := a.at
				if i+1 < len(admitted) {
					from = admitted[i+1].at
				}
				// sum <= burst + (a.at-from)·requests/per, exactly.
				if product(int64(sum-burst), int64(per)).Cmp(product(int64(a.at.Sub(from)), int64(requests))) > 0 {
					want = false
				}
				if i >= 0 {
					sum += admitted[i].cost
				}
			}
			next, got := p.Take(state, a.at, a.cost)
			if got != want {
				t.Fatalf("cost %d at %v: admitted %v, the definition says %v", a.cost, a.at.Sub(start).Duration(), got, want)
			}
			if state = next; got {
				admitted = append(admitted, a)
			}
		}
	})
}

func product(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }

// TestFixedWindowAgainstItsDefinition: at most requests tokens in each window
// since the epoch, or in each calendar period, and nothing is refused below it.
func TestFixedWindowAgainstItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requests, _, per := numbers(t)
		p := fixed(requests, per)
		sameWindow := func(a, b limit.Instant) bool { return int64(a)/int64(per) == int64(b)/int64(per) }
		if c := decide.Calendar(rapid.IntRange(0, 4).Draw(t, "calendar")); c != 0 {
			p = calendar(requests, c)
			sameWindow = func(a, b limit.Instant) bool { return period(c, a) == period(c, b) }
		}
		var state decide.State
		var admitted []event
		for _, a := range arrivals(t, &p) {
			sum := a.cost
			for _, e := range admitted {
				if sameWindow(e.at, a.at) {
					sum += e.cost
				}
			}
			next, got := p.Take(state, a.at, a.cost)
			if want := sum <= requests; got != want {
				t.Fatalf("cost %d at %v: admitted %v, the definition says %v", a.cost, a.at.Time(), got, want)
			}
			if state = next; got {
				admitted = append(admitted, a)
			}
		}
	})
}

// period names a calendar period by the standard library.
func period(c decide.Calendar, at limit.Instant) [2]int {
	t := at.Time()
	switch c {
	case decide.Day:
		return [2]int{t.Year(), t.YearDay()}
	case decide.Week:
		year, week := t.ISOWeek()
		return [2]int{year, week}
	case decide.Month:
		return [2]int{t.Year(), int(t.Month())}
	}
	return [2]int{t.Year(), 0}
}

// TestSlidingWindowAgainstItsDefinition: the estimate counts every event of the
// current third of a window and of the two before it, and of the third before
// those the part that has not slid out, rounded up. Interpolation never lets twice
// the quota into one stretch of per.
func TestSlidingWindowAgainstItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requests, _, per := numbers(t)
		p := sliding(requests, per)
		third := func(at limit.Instant) *big.Int { // number of the sub-window: floor(3·at/per)
			return new(big.Int).Div(product(int64(at), 3), big.NewInt(int64(per)))
		}
		var state decide.State
		var admitted []event
		for _, a := range arrivals(t, &p) {
			now := third(a.at)
			whole, oldest := int64(a.cost), int64(0)
			for _, e := range admitted {
				switch age := new(big.Int).Sub(now, third(e.at)).Int64(); {
				case age < 3:
					whole += int64(e.cost)
				case age == 3:
					oldest += int64(e.cost)
				}
			}
			// whole + ⌈oldest·(per-passed)/per⌉ <= requests, where passed/per of the
			// current third is over.
			passed := new(big.Int).Sub(product(int64(a.at), 3), new(big.Int).Mul(now, big.NewInt(int64(per))))
			stays := new(big.Int).Mul(big.NewInt(oldest), new(big.Int).Sub(big.NewInt(int64(per)), passed))
			stays.Add(stays, big.NewInt(int64(per)-1)).Div(stays, big.NewInt(int64(per)))
			next, got := p.Take(state, a.at, a.cost)
			if want := whole+stays.Int64() <= int64(requests); got != want {
				t.Fatalf("cost %d at %v: admitted %v, the definition says %v", a.cost, a.at.Sub(start).Duration(), got, want)
			}
			if state = next; got {
				admitted = append(admitted, a)
			}
		}
		for i, from := range admitted {
			sum := limit.Amount(0)
			for _, e := range admitted[i:] {
				if e.at.Sub(from.at) < per {
					sum += e.cost
				}
			}
			if sum > 2*requests {
				t.Fatalf("%d tokens in one stretch of %v, the quota is %d", sum, per.Duration(), requests)
			}
		}
	})
}

// TestAClockThatStepsBack: with every request counted at its own time or that of
// the newest one before it, whichever is later, no algorithm admits more than its
// definition, wherever the clock steps.
func TestAClockThatStepsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requests, burst, per := numbers(t)
		p, err := decide.TokenBucket(requests, per, burst)
		if err != nil {
			t.Skip(err)
		}
		inOneWindow := func(limit.Instant, limit.Instant) bool { return true }
		refill := true
		if kind := rapid.IntRange(0, 2).Draw(t, "kind"); kind > 0 {
			refill = false
			if p = fixed(requests, per); kind == 2 {
				p = sliding(requests, per)
			}
			third := per / 3 // what lies within a third of per is counted as a whole by both
			inOneWindow = func(a, b limit.Instant) bool {
				if kind == 2 {
					return b.Sub(a) <= third
				}
				return int64(a)/int64(per) == int64(b)/int64(per)
			}
		}
		var state decide.State
		var admitted []event
		newest, now := limit.Instant(0), start
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now = now.Add(limit.Span(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-int64(per), int64(per)/4), rapid.Int64Range(-2*int64(per), 2*int64(per))).Draw(t, "step")))
			c := cost(t, &p)
			next, ok := p.Take(state, now, c)
			if state = next; !ok {
				continue
			}
			newest = max(newest, now)
			admitted = append(admitted, event{newest, c})
			sum := limit.Amount(0)
			for i := len(admitted) - 1; i >= 0; i-- {
				from := admitted[i].at
				if !inOneWindow(from, newest) {
					break
				}
				sum += admitted[i].cost
				room := new(big.Int).Mul(big.NewInt(int64(p.Burst())), big.NewInt(int64(per)))
				if refill {
					room.Add(room, product(int64(newest.Sub(from)), int64(requests)))
				}
				if product(int64(sum), int64(per)).Cmp(room) > 0 {
					t.Fatalf("%d tokens were admitted between %v and %v", sum, from.Time(), newest.Time())
				}
			}
		}
	})
}

func FuzzTake(f *testing.F) {
	f.Add(uint8(0), int64(10), int64(limit.Second), int64(10), int64(start), int64(1), int64(5))
	f.Add(uint8(1), int64(1_000_000_000), int64(decide.MinPer), int64(1), int64(0), int64(-1), int64(1<<62))
	f.Add(uint8(3), int64(1), int64(4), int64(1), int64(limit.Never), int64(1<<32-1), int64(1))
	f.Fuzz(func(t *testing.T, kind uint8, requests, per, burst, at, cost, debit int64) {
		var p decide.Params
		var err error
		switch kind % 4 {
		case 0:
			p, err = decide.TokenBucket(limit.Amount(requests), limit.Span(per), limit.Amount(burst))
		case 1:
			p, err = decide.SlidingWindow(limit.Amount(requests), limit.Span(per))
		case 2:
			p, err = decide.FixedWindow(limit.Amount(requests), limit.Span(per))
		default:
			p, err = decide.CalendarWindow(limit.Amount(requests), decide.Calendar(per))
		}
		if err != nil {
			return
		}
		now := limit.Instant(at)
		state, _ := p.Take(decide.State{}, now, limit.Amount(cost))
		state = p.Debit(state, now, limit.Amount(debit))
		used := p.Used(state, now)
		reading := p.Describe(state, now)
		if used < 0 || reading.Remaining < 0 || reading.Remaining > p.Burst() || reading.ResetAfter < 0 || p.RetryAfter(state, now, limit.Amount(cost)) < 0 {
			t.Errorf("used %d, reading %+v", used, reading)
		}
		if _, ok := p.Take(state, now, 1); ok && used >= p.Burst() {
			t.Errorf("admitted with %d of %d used", used, p.Burst())
		}
	})
}
