package account_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const start = limit.Instant(1_760_000_000_000_000_000)

// key returns the i-th of a fixed sequence of keys that look like hashes
// (splitmix64).
func key(i uint64) limit.Key {
	mix := func(x uint64) uint64 {
		x ^= x >> 30
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 27
		x *= 0x94d049bb133111eb
		return x ^ x>>31
	}
	return limit.Key{Hi: mix(2*i*0x9e3779b97f4a7c15 + 1), Lo: mix((2*i + 1) * 0x9e3779b97f4a7c15)}
}

func must(p decide.Params, err error) decide.Params {
	if err != nil {
		panic(err)
	}
	return p
}

func bucket(requests limit.Amount, per limit.Span, burst limit.Amount) decide.Params {
	return must(decide.TokenBucket(requests, per, burst))
}

func newStore(t testing.TB, o account.Options) *account.Store {
	t.Helper()
	s, err := account.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// meters sets one meter for each of the params, with limits 1, 2, ….
func meters(s *account.Store, params ...decide.Params) []account.Ref {
	var all []account.Meter
	for i, p := range params {
		all = append(all, account.Meter{Limit: uint64(i + 1), Params: p})
	}
	return s.SetMeters(start, all)
}

// take charges one token and says whether it was admitted.
func take(s *account.Store, now limit.Instant, k limit.Key, ref account.Ref) bool {
	return s.Charge(now, []account.Charge{{Key: k, Meter: ref, Cost: 1}})
}

// left returns how much a counter has left, by a charge that takes nothing.
func left(s *account.Store, now limit.Instant, k limit.Key, ref account.Ref) limit.Amount {
	charges := []account.Charge{{Key: k, Meter: ref, Cost: 0, Shadow: true}}
	s.Charge(now, charges)
	return charges[0].Reading.Remaining
}

func usage(s *account.Store, id uint64) account.Usage {
	var got account.Usage
	s.Usage(func(limit uint64, u account.Usage) {
		if limit == id {
			got = u
		}
	})
	return got
}
