package lease_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// history is what was asked of a pool, and what it admitted.
type history struct {
	arrivals   []arrival
	admissions []admission
}

type arrival struct {
	at   limit.Instant
	key  limit.Key
	cost limit.Amount
}

type admission struct {
	began, at limit.Instant // it arrived, and was admitted
	key       limit.Key
	cost      limit.Amount
	node      int32
}

func (h *history) arrived(now limit.Instant, key uint64, cost limit.Amount) {
	h.arrivals = append(h.arrivals, arrival{now, id(key).Key, cost})
}

func (h *history) admit(a admission) { h.admissions = append(h.admissions, a) }

// over returns by how many tokens the pool was ever above one exact limiter.
func (h *history) over(p *decide.Params) (worst limit.Amount) {
	states := map[limit.Key]decide.State{}
	for _, a := range h.admissions {
		s := p.Move(states[a.key], a.at, a.cost)
		worst = max(worst, p.Used(s, a.at)-p.Burst())
		states[a.key] = s
	}
	return worst
}

// part returns what was admitted since an instant, and what one exact limiter would have
// admitted of the same arrivals.
func (h *history) part(p *decide.Params, since limit.Instant) (got, exact limit.Amount) {
	states := map[limit.Key]decide.State{}
	for _, a := range h.arrivals {
		s, ok := p.Take(states[a.key], a.at, a.cost)
		if states[a.key] = s; ok && a.at >= since {
			exact += a.cost
		}
	}
	for _, a := range h.admissions {
		if a.at >= since {
			got += a.cost
		}
	}
	return got, exact
}

// between returns the tokens that some admitted from an instant on, up to another.
func (h *history) between(from, to limit.Instant, who func(admission) bool) (sum limit.Amount) {
	for _, a := range h.admissions {
		if a.at >= from && a.at < to && who(a) {
			sum += a.cost
		}
	}
	return sum
}

func everybody(admission) bool { return true }

// linearizable says whether one bucket could have admitted all of that: each request at
// some instant between its arrival and its answer. It could if over every stretch of
// time those that both arrived and were answered in it fill no more than burst+rate*t.
// That is so if a server who needs the time of a token for each of them can have done
// with it when it is answered, and a burst more; and for that no order is better than
// the one by which they are answered (Liu and Layland, 1973).
func linearizable(p *decide.Params, all []admission) bool {
	byKey := map[limit.Key][]admission{}
	for _, a := range all {
		byKey[a.key] = append(byKey[a.key], a)
	}
	for _, of := range byKey {
		if !linearizableKey(p, of) {
			return false
		}
	}
	return true
}

func linearizableKey(p *decide.Params, all []admission) bool {
	slices.SortStableFunc(all, func(a, b admission) int { return cmp.Compare(a.began, b.began) })
	begin := all[0].began
	// In units of which a token takes Per, and a nanosecond Requests: all is whole.
	clock := func(t limit.Instant) int64 { return int64(t.Sub(begin)) * int64(p.Requests()) }
	work := func(n limit.Amount) int64 { return int64(n) * int64(p.Per()) }
	type job struct{ left, due int64 }
	var jobs []job // by when they are due
	now := int64(0)
	for len(all)+len(jobs) > 0 {
		if len(jobs) == 0 {
			now = max(now, clock(all[0].began))
		}
		for len(all) > 0 && clock(all[0].began) <= now {
			j := job{work(all[0].cost), clock(all[0].at) + work(p.Burst())}
			at, _ := slices.BinarySearchFunc(jobs, j, func(a, b job) int { return cmp.Compare(a.due, b.due) })
			jobs, all = slices.Insert(jobs, at, j), all[1:]
		}
		until := now + jobs[0].left
		if len(all) > 0 {
			until = min(until, clock(all[0].began))
		}
		if until > jobs[0].due {
			return false
		}
		if jobs[0].left -= until - now; jobs[0].left == 0 {
			jobs = jobs[1:]
		}
		now = until
	}
	return true
}

func TestAHistoryIsThatOfOneLimiterOrNot(t *testing.T) {
	p := bucket(1, sec, 2)
	at := func(began, answered limit.Span) admission {
		return admission{began: start.Add(began * ms), at: start.Add(answered * ms), cost: 1, key: id(1).Key}
	}
	for _, c := range []struct {
		name    string
		history []admission
		want    bool
	}{
		{"nothing", nil, true},
		{"a burst", []admission{at(0, 0), at(0, 0)}, true},
		{"more than a burst", []admission{at(0, 0), at(0, 0), at(0, 0)}, false},
		{"one too early", []admission{at(0, 0), at(0, 0), at(999, 999)}, false},
		{"one in time", []admission{at(0, 0), at(0, 0), at(1000, 1000)}, true},
		{"one that waited long enough", []admission{at(0, 0), at(0, 0), at(10, 1000)}, true},
		{"one that did not", []admission{at(0, 0), at(0, 0), at(10, 999)}, false},
		{"the one that came first could wait", []admission{at(0, 1000), at(1, 1), at(2, 2)}, true},
		{"a full bucket holds no more for waiting", []admission{at(5000, 5000), at(5000, 5000), at(5000, 5999)}, false},
		{"other keys", []admission{at(0, 0), at(0, 0), {began: start, at: start, cost: 1, key: id(2).Key}}, true},
	} {
		if got := linearizable(&p, c.history); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
