package account_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

func TestChangedHandsEachCounterOverOnce(t *testing.T) {
	s := newStore(t, account.Options{})
	ref := meters(s, bucket(10, limit.Minute, 10))[0]
	changed := func(most int) []limit.Amount {
		var own []limit.Amount
		s.Changed(start, most, func(e account.Entry) { own = append(own, e.Own) })
		slices.Sort(own)
		return own
	}
	take(s, start, key(1), ref)
	take(s, start, key(2), ref)
	take(s, start, key(2), ref)
	s.Debit(start, key(3), ref, 5) // a peer's: not ours to tell
	if got := changed(10); !cmp.Equal(got, []limit.Amount{1, 2}) {
		t.Errorf("first round: %v, want [1 2]", got)
	}
	if got := changed(10); got != nil {
		t.Errorf("second round: %v, want nothing", got)
	}
	take(s, start, key(2), ref)
	take(s, start, key(1), ref)
	if got := append(changed(1), changed(1)...); len(got) != 2 {
		t.Errorf("one at a time: %v, want both", got)
	}
	s.Charge(start, []account.Charge{{Key: key(2), Meter: ref, Cost: -1}})
	if got := changed(10); !cmp.Equal(got, []limit.Amount{2}) {
		t.Errorf("after giving back: %v, want [2]", got)
	}
}

func TestPeersConsumption(t *testing.T) {
	s := newStore(t, account.Options{})
	ref := meters(s, bucket(10, limit.Minute, 10))[0]
	s.Debit(start, key(1), ref, 4)
	if got := left(s, start, key(1), ref); got != 6 {
		t.Errorf("%d left after a debit of 4, want 6", got)
	}
	s.Raise(start, key(1), ref, 3)
	if got := left(s, start, key(1), ref); got != 6 {
		t.Errorf("%d left after a raise to less than is gone, want 6", got)
	}
	s.Raise(start, key(1), ref, 7)
	if got := left(s, start, key(1), ref); got != 3 {
		t.Errorf("%d left after a raise to 7, want 3", got)
	}
	s.Debit(start, key(1), ref, -2)
	if got := left(s, start, key(1), ref); got != 5 {
		t.Errorf("%d left after 2 came back, want 5", got)
	}
	s.Debit(start, key(2), ref, 0)
	s.Raise(start, key(3), ref, 0)
	if s.Has(key(2)) || s.Has(key(3)) {
		t.Error("nothing taken made a counter")
	}
}

func TestScanHandsEveryCounterOver(t *testing.T) {
	s := newStore(t, account.Options{})
	ref := meters(s, bucket(10, limit.Minute, 10))[0]
	const n = 5000
	for i := range uint64(n) {
		take(s, start, key(i), ref)
	}
	seen := map[limit.Key]int{}
	cursor, done := uint64(0), false
	for pages := 0; !done; pages++ {
		if pages > n {
			t.Fatal("the scan does not end")
		}
		cursor, done = s.Scan(start, cursor, 100, func(e account.Entry) {
			seen[e.Key]++
			if e.Used != 1 || e.Limit != 1 {
				t.Fatalf("entry %+v", e)
			}
		})
	}
	if len(seen) != n {
		t.Errorf("%d counters in the scan, want %d", len(seen), n)
	}
	for k, times := range seen {
		if times != 1 {
			t.Errorf("%v was handed over %d times", k, times)
		}
	}
}

func TestMetersChange(t *testing.T) {
	s := newStore(t, account.Options{})
	slow, fast := bucket(10, limit.Minute, 10), bucket(100, limit.Minute, 100)
	set := func(now limit.Instant, all ...account.Meter) []account.Ref { return s.SetMeters(now, all) }

	ref := set(start, account.Meter{Limit: 1, Params: slow})[0]
	for range 7 {
		take(s, start, key(1), ref)
	}
	same := set(start, account.Meter{Limit: 2, Params: slow}, account.Meter{Limit: 1, Params: slow})
	if same[1] != ref {
		t.Error("a meter that did not change has another Ref")
	}
	changed := set(start, account.Meter{Limit: 1, Params: fast})[0]
	if got := left(s, start, key(1), changed); got != 93 {
		t.Errorf("%d left after the rate changed, want 93: 7 were used", got)
	}
	back := set(start, account.Meter{Limit: 1, Params: slow})[0]
	if got := left(s, start, key(1), back); got != 3 {
		t.Errorf("%d left after the rate changed back, want 3", got)
	}
	if got, want := usage(s, 1), (account.Usage{Active: 1, Admitted: 7}); got != want {
		t.Errorf("usage %+v, want %+v", got, want)
	}

	// An hour of changes neither grows the table nor loses what was counted.
	now := start
	for i := range 1000 {
		now = now.Add(4 * limit.Second)
		p := slow
		if i%2 == 0 {
			p = fast
		}
		back = set(now, account.Meter{Limit: 1, Params: p})[0]
		take(s, now, key(1), back)
		s.Expire(now, 1000)
	}
	if back > 50 {
		t.Errorf("after 1000 changes a new meter has Ref %d: old ones are not freed", back)
	}
	if got := usage(s, 1).Admitted + usage(s, 1).Limited; got != 1007 {
		t.Errorf("%d tokens counted, want 1007", got)
	}
}

func TestResetForgetsCountersOnly(t *testing.T) {
	s := newStore(t, account.Options{})
	ref := meters(s, bucket(10, limit.Minute, 10))[0]
	take(s, start, key(1), ref)
	s.Reset()
	if s.Has(key(1)) || s.Stats().Keys != 0 {
		t.Error("a counter survived")
	}
	if got, want := usage(s, 1), (account.Usage{Admitted: 1}); got != want {
		t.Errorf("usage %+v, want %+v", got, want)
	}
	take(s, start, key(1), ref)
	if got := left(s, start, key(1), ref); got != 9 {
		t.Errorf("%d left, want 9", got)
	}
}
