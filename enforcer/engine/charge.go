package engine

import (
	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// scratch is what one Decide works with. It lives in Answer.Work, where nobody
// else has it and finding it costs nothing. Its slices begin in room: what two
// callers write then lies on different cache lines.
type scratch struct {
	// last is the domain of the request before, as it is in force.
	last struct {
		force  *force
		domain *policy.Domain
	}

	matcher match.Matcher
	matched []match.Charge
	charges []account.Charge

	// exact are the charges of counters that are shared exactly.
	exact []exact

	// at is, for each of matched, the position of its counter in charges, or
	// banned or unlimited where there is none, or exactly less its position in exact.
	at []int

	room struct {
		_       [64]byte
		matched [usual]match.Charge
		charges [usual]account.Charge
		at      [usual]int
		_       [64]byte
	}
}

// usual is a number of limits that few requests exceed.
const usual = 8

func newScratch() *scratch {
	s := &scratch{}
	s.matched, s.charges, s.at = s.room.matched[:0], s.room.charges[:0], s.room.at[:0]
	return s
}

// usedOnce is the Work of an Answer that has been used once.
type usedOnce struct{}

// borrow returns the scratch for an answer that has none: its own when it is used
// for the second time, which its Work then is, else a spare one.
func (e *Engine) borrow(ans *request.Answer) *scratch {
	if ans.Work != nil {
		s := newScratch()
		ans.Work = s
		return s
	}
	ans.Work = usedOnce{}
	return e.spare.Get().(*scratch)
}

// domain returns the limits of a domain; nil when no policy has it.
func (s *scratch) domain(f *force, name string) *policy.Domain {
	if s.last.force == f && s.last.domain != nil && s.last.domain.Name == name {
		return s.last.domain
	}
	if f.snapshot == nil {
		return nil
	}
	s.last.force, s.last.domain = f, f.snapshot.Domain(name)
	return s.last.domain
}

const (
	banned    = -1
	unlimited = -2
	exactly   = -3
)

// charge charges what the request matched, and says whether it is admitted. If
// one enforced limit denies, be it a counter or a ban, no enforced limit is
// charged; shadow limits are charged on their own.
//
// It waits, and nothing is charged, where another node has to be asked first.
func (e *Engine) charge(now limit.Instant, f *force, s *scratch, w lease.Waiter) (admitted, waits bool) {
	free := e.gather(now, f, s)
	if len(s.exact) > 0 {
		if free, waits = s.takeExact(now, e.lease, free, w); waits {
			return false, true
		}
	}
	if !free {
		s.spare()
	}
	admitted = (len(s.charges) == 0 || e.store.Charge(now, s.charges)) && free
	if len(s.exact) > 0 {
		if free && !admitted {
			s.undoExact(now, e.lease, func(x *exact) bool { return !x.shadow })
		}
		e.countExact(s, admitted)
	}
	if len(s.charges)+len(s.exact) < len(s.matched) {
		e.tally(s, admitted)
	}
	return admitted, false
}

// spare has the enforced limits only looked at: something else denies.
func (s *scratch) spare() {
	for i := range s.charges {
		if !s.charges[i].Shadow {
			s.charges[i].Cost = 0
		}
	}
}

// gather makes the charges of what the request matched, and says whether no
// enforced limit bans it.
func (e *Engine) gather(now limit.Instant, f *force, s *scratch) (free bool) {
	s.charges, s.exact, s.at = s.charges[:0], s.exact[:0], s.at[:0]
	free = true
	for i := range s.matched {
		m := &s.matched[i]
		ref, at := account.Ref(0), 0
		if m.Meter != match.OwnMeter && !m.Deny && !m.Unlimited {
			ref = f.refs[m.Meter]
		} else {
			ref, at = e.meter(now, m)
		}
		if at == banned && !m.Quota.Shadow {
			free = false
		}
		switch {
		case at < 0:
		case f.exactly(m):
			at = exactly - len(s.exact)
			s.exact = append(s.exact, f.exactOf(m, ref))
		default:
			at = len(s.charges)
			s.add(m, ref)
		}
		s.at = append(s.at, at)
	}
	return free
}

// add appends the charge of a match; the store fills in what is not set here.
func (s *scratch) add(m *match.Charge, ref account.Ref) {
	if len(s.charges) == cap(s.charges) {
		s.charges = append(s.charges, account.Charge{})
	} else {
		s.charges = s.charges[:len(s.charges)+1]
	}
	c := &s.charges[len(s.charges)-1]
	c.Key, c.Meter, c.Cost, c.Shadow = m.Key, ref, m.Cost, m.Quota.Shadow
}

// meter returns how a match is counted that is not counted by a meter of the
// policies: by one of its own, or not at all (at is banned or unlimited).
func (e *Engine) meter(now limit.Instant, m *match.Charge) (ref account.Ref, at int) {
	switch {
	case m.Deny:
		return 0, banned
	case m.Unlimited:
		return 0, unlimited
	}
	ref, ok := e.ownMeter(now, &m.Own.Quota)
	if !ok {
		return 0, banned
	}
	return ref, 0
}

// tally counts for the reports what was decided without a counter.
func (e *Engine) tally(s *scratch, admitted bool) {
	for i, at := range s.at {
		m := &s.matched[i]
		if at >= 0 || at <= exactly || m.Own != nil || at == unlimited && !admitted && !m.Quota.Shadow {
			continue
		}
		if ref, ok := e.store.Ref(m.Limit, 0); ok {
			e.store.Tally(ref, at == unlimited, m.Cost)
		}
	}
}
