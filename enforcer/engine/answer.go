package engine

import (
	"math/bits"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// answer writes down what the limits of a request said.
func (s *scratch) answer(admitted bool, ans *request.Answer) {
	for i := range s.matched {
		m := &s.matched[i]
		v := s.verdict(i)
		ans.Applied = append(ans.Applied, v)
		if m.Quota.Shadow {
			continue
		}
		settle(&ans.Verdict, v)
		if m.Descriptor != match.AllDescriptors {
			settle(&ans.Descriptors[m.Descriptor], v)
			continue
		}
		for d := range ans.Descriptors {
			settle(&ans.Descriptors[d], v)
		}
	}
	switch {
	case ans.Verdict.Quota == nil:
	case admitted:
		ans.Outcome = request.Admitted
	default:
		ans.Outcome = request.Denied
	}
}

// verdict returns what the i-th limit said.
func (s *scratch) verdict(i int) request.Verdict {
	v := request.Verdict{Quota: s.matched[i].Quota}
	switch at := s.at[i]; at {
	case banned:
		v.Denied, v.RetryAfter = true, limit.Forever
	case unlimited:
		v.Remaining = limit.MaxAmount
	default:
		c := &s.charges[at]
		v.Denied = !c.Admitted
		v.Remaining, v.ResetAfter = c.Reading.Remaining, c.Reading.ResetAfter
		if v.Denied {
			v.RetryAfter = c.Reading.RetryAfter
		}
	}
	return v
}

// settle replaces a verdict by another that has more to say: one that denied
// before one that did not, of those that denied the one that asks for the longer
// wait, of the others the one with the smaller part of its quota left. Of equals
// the first stays.
func settle(old *request.Verdict, v request.Verdict) {
	switch {
	case old.Quota == nil:
	case v.Denied != old.Denied:
		if old.Denied {
			return
		}
	case v.Denied:
		if v.RetryAfter <= old.RetryAfter {
			return
		}
	case !tighter(&v, old):
		return
	}
	*old = v
}

// tighter says whether a has a smaller part of its quota left than b.
func tighter(a, b *request.Verdict) bool {
	// a.Remaining/a.Burst < b.Remaining/b.Burst, without the division.
	ahi, alo := bits.Mul64(uint64(a.Remaining), uint64(b.Quota.Burst))
	bhi, blo := bits.Mul64(uint64(b.Remaining), uint64(a.Quota.Burst))
	return ahi < bhi || ahi == bhi && alo < blo
}
