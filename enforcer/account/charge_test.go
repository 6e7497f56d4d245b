package account_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

func TestADeniedRequestChargesNothing(t *testing.T) {
	s := newStore(t, account.Options{})
	refs := meters(s, bucket(10, limit.Second, 10), bucket(1, limit.Second, 1), bucket(1, limit.Second, 1))
	ask := func() (bool, []account.Charge) {
		charges := []account.Charge{
			{Key: key(1), Meter: refs[0], Cost: 4},
			{Key: key(2), Meter: refs[1], Cost: 1},
			{Key: key(3), Meter: refs[2], Cost: 1, Shadow: true},
		}
		return s.Charge(start, charges), charges
	}
	if ok, _ := ask(); !ok {
		t.Fatal("the first request was denied")
	}
	ok, charges := ask()
	if ok {
		t.Fatal("the second request was admitted, though a limit had no room")
	}
	if got := []bool{charges[0].Admitted, charges[1].Admitted, charges[2].Admitted}; !cmp.Equal(got, []bool{true, false, false}) {
		t.Errorf("the limits said %v", got)
	}
	if got := charges[1].Reading.RetryAfter; got != limit.Second {
		t.Errorf("retry after %v, want 1s", got.Duration())
	}
	if got := left(s, start, key(1), refs[0]); got != 6 {
		t.Errorf("%d left of the limit that had room, want 6: only the first request was charged", got)
	}
	for id, want := range map[uint64]account.Usage{
		1: {Active: 1, Admitted: 4},
		2: {Active: 1, Admitted: 1, Limited: 1},
		3: {Active: 1, Admitted: 1, Limited: 1},
	} {
		if got := usage(s, id); got != want {
			t.Errorf("usage of limit %d is %+v, want %+v", id, got, want)
		}
	}
}

func TestAShadowLimitHasNoSay(t *testing.T) {
	s := newStore(t, account.Options{})
	refs := meters(s, bucket(1, limit.Second, 1), bucket(1, limit.Second, 5))
	for range 3 {
		if !s.Charge(start, []account.Charge{{Key: key(1), Meter: refs[0], Cost: 1, Shadow: true}, {Key: key(2), Meter: refs[1], Cost: 1}}) {
			t.Fatal("a shadow limit denied")
		}
	}
	if got := left(s, start, key(2), refs[1]); got != 2 {
		t.Errorf("%d left of the enforced limit, want 2", got)
	}
}

func TestChargesOnOneCounterAddUp(t *testing.T) {
	s := newStore(t, account.Options{})
	ref := meters(s, bucket(1, limit.Second, 5))[0]
	twice := []account.Charge{{Key: key(1), Meter: ref, Cost: 2}, {Key: key(1), Meter: ref, Cost: 3}}
	if !s.Charge(start, twice) {
		t.Fatal("2 and 3 of 5 were denied")
	}
	if got := left(s, start, key(1), ref); got != 0 {
		t.Errorf("%d left, want 0", got)
	}
	if s.Charge(start.Add(limit.Second), []account.Charge{{Key: key(1), Meter: ref, Cost: 1}, {Key: key(1), Meter: ref, Cost: 1}}) {
		t.Error("1 and 1 of 1 were admitted")
	}
	if got := left(s, start.Add(limit.Second), key(1), ref); got != 1 {
		t.Errorf("%d left, want 1: the denied request was charged", got)
	}
}

// TestAgainstANaiveStore compares the store with a map of states, over random
// charges, debits, changes of meters and expiry.
func TestAgainstANaiveStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		params := []decide.Params{bucket(10, limit.Second, 5), bucket(1, limit.Minute, 3)}
		s, err := account.New(account.Options{Shards: 1 << rapid.IntRange(0, 6).Draw(t, "shards")})
		if err != nil {
			t.Fatal(err)
		}
		refs := meters(s, params...)
		naive := map[limit.Key]decide.State{}
		of := func(k uint64) int { return int(k) % len(params) }
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(limit.Span(rapid.Int64Range(0, int64(5*limit.Second)).Draw(t, "gap")))
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				s.Expire(now, 1000)
			case 1:
				k, n := rapid.Uint64Range(0, 9).Draw(t, "key"), limit.Amount(rapid.Int64Range(0, 9).Draw(t, "debit"))
				s.With(now, key(k), refs[of(k)], true, func(c *share.Counter) { *c.State = c.Params.Debit(*c.State, now, n) })
				naive[key(k)] = params[of(k)].Debit(naive[key(k)], now, n)
			case 2:
				i := rapid.IntRange(0, 1).Draw(t, "meter")
				next := bucket(limit.Amount(rapid.Int64Range(1, 20).Draw(t, "rate")), limit.Second, limit.Amount(rapid.Int64Range(1, 20).Draw(t, "burst")))
				for k := range uint64(10) {
					if of(k) == i {
						naive[key(k)] = decide.Rescale(naive[key(k)], now, &params[i], &next)
						left(s, now, key(k), refs[i]) // touched before the change, so both are rescaled at one time
					}
				}
				params[i] = next
				refs = meters(s, params...)
				for k := range uint64(10) {
					left(s, now, key(k), refs[of(k)])
				}
			default:
				var charges []account.Charge
				for _, k := range rapid.SliceOfN(rapid.Uint64Range(0, 9), 1, 4).Draw(t, "keys") {
					charges = append(charges, account.Charge{Key: key(k), Meter: refs[of(k)], Cost: limit.Amount(rapid.Int64Range(-1, 4).Draw(t, "cost"))})
				}
				want, after := true, map[limit.Key]decide.State{}
				for _, c := range charges {
					state, ok := after[c.Key]
					if !ok {
						state = naive[c.Key]
					}
					next, admitted := params[refIndex(refs, c.Meter)].Take(state, now, c.Cost)
					want = want && admitted
					after[c.Key] = next
				}
				asked := slices.Clone(charges)
				if got := s.Ask(now, asked); got != want {
					t.Fatalf("charges %v would be admitted %v, want %v", charges, got, want)
				}
				if got := s.Charge(now, charges); got != want {
					t.Fatalf("charges %v admitted %v, want %v", charges, got, want)
				}
				for i, c := range charges {
					if asked[i].Admitted != c.Admitted || asked[i].Reading != c.Reading {
						t.Fatalf("charge %v was %v when it was only asked for", c, asked[i])
					}
				}
				if want {
					for k, state := range after {
						naive[k] = state
					}
				}
			}
			for k := range uint64(10) {
				p := &params[of(k)]
				want := p.Describe(naive[key(k)], now).Remaining
				if got := left(s, now, key(k), refs[of(k)]); got != want {
					t.Fatalf("key %d has %d left, want %d", k, got, want)
				}
			}
		}
	})
}

func refIndex(refs []account.Ref, ref account.Ref) int {
	for i, r := range refs {
		if r == ref {
			return i
		}
	}
	return -1
}

// TestManyThreads races requests over several limits while counters expire, are
// shared and change their meters: no deadlock, nothing lost, and what was admitted
// is what the counters say.
func TestManyThreads(t *testing.T) {
	var sweeping sync.Mutex
	const threads, rounds = 8, 3000
	s := newStore(t, account.Options{MaxKeys: 5000})
	params := []decide.Params{bucket(1, limit.Hour, 500_000), bucket(1, limit.Hour, 500_000), bucket(1, limit.Hour, 1000)}
	refs := meters(s, params...)
	var admitted [3]atomic.Int64
	var done sync.WaitGroup
	for thread := range threads {
		done.Go(func() {
			for i := range rounds {
				now := start.Add(limit.Span(i) * limit.Millisecond)
				a, b := uint64((i+thread)%7), uint64((i*3+thread)%5+10)
				charges := []account.Charge{
					{Key: key(b), Meter: refs[1], Cost: 1},
					{Key: key(a), Meter: refs[0], Cost: 2},
					{Key: key(99), Meter: refs[2], Cost: 1},
				}
				if s.Charge(now, charges) {
					admitted[0].Add(2)
					admitted[1].Add(1)
					admitted[2].Add(1)
				}
				switch i % 100 {
				case 0:
					s.Expire(now, 100)
				case 1:
					s.Changed(now, 10, func(*share.Counter) bool { return true })
				case 2:
					sweeping.Lock() // its driver is one
					s.Sweep(now, 10, true, func(*share.Counter) bool { return false })
					sweeping.Unlock()
				case 3:
					meters(s, params...)
				}
			}
		})
	}
	done.Wait()
	for i := range admitted {
		if got, want := usage(s, uint64(i+1)).Admitted, admitted[i].Load(); got != want {
			t.Errorf("limit %d admitted %d tokens, want %d", i+1, got, want)
		}
	}
	if got := admitted[2].Load(); got != 1000 {
		t.Errorf("the tightest limit admitted %d, want 1000", got)
	}
}

// TestAllOrNothingUnderRaces lets many threads ask for random sets of counters in
// random order, most of which are denied by one of them. What every counter has
// lost at the end is what the admitted requests took from it, to the token.
func TestAllOrNothingUnderRaces(t *testing.T) {
	const threads, rounds, counters = 8, 3000, 12
	for _, shards := range []int{1, 4, 64} { // locks that are the same, often the same, and seldom
		s := newStore(t, account.Options{Shards: shards, MaxKeys: 1000})
		burst := func(i int) limit.Amount { return limit.Amount(500 << (i % 6)) } // the smallest are empty soon
		var params []decide.Params
		for i := range counters {
			params = append(params, bucket(1, 24*limit.Hour, burst(i)))
		}
		refs := meters(s, params...)
		var took [counters]atomic.Int64
		var denied atomic.Int64
		var done sync.WaitGroup
		for thread := range threads {
			done.Go(func() {
				dice := rand.New(rand.NewPCG(1, uint64(thread)))
				for range rounds {
					var charges []account.Charge
					for _, i := range dice.Perm(counters)[:1+dice.IntN(4)] {
						charges = append(charges, account.Charge{Key: key(uint64(i)), Meter: refs[i], Cost: limit.Amount(1 + dice.IntN(3))})
					}
					if !s.Charge(start, charges) {
						denied.Add(1)
						continue
					}
					for _, c := range charges {
						took[refIndex(refs, c.Meter)].Add(int64(c.Cost))
					}
				}
			})
		}
		done.Wait()
		if denied.Load() < rounds {
			t.Fatalf("%d shards: only %d requests were denied: the test shows nothing", shards, denied.Load())
		}
		for i := range counters {
			got, want := left(s, start, key(uint64(i)), refs[i]), burst(i)-limit.Amount(took[i].Load())
			if got != want {
				t.Errorf("%d shards: counter %d has %d left, want %d", shards, i, got, want)
			}
		}
	}
}
