package engine

import (
	"math/bits"

	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// answer writes down what the limits of a request said.
func (s *scratch) answer(admitted bool, ans *request.Answer) {
	if n := len(s.matched); cap(ans.Applied) < n {
		ans.Applied = make([]request.Verdict, n, max(n, usual)) // as wide as cache lines
	} else {
		ans.Applied = ans.Applied[:n]
	}
	decides := (*request.Verdict)(nil)
	for i := range s.matched {
		v := &ans.Applied[i]
		s.verdict(i, v)
		if s.matched[i].Quota.Shadow {
			continue
		}
		if decides == nil || outweighs(v, decides) {
			decides = v
		}
		for d := range ans.Descriptors {
			if at := s.matched[i].Descriptor; at != d && at != match.AllDescriptors {
				continue
			}
			if old := &ans.Descriptors[d]; old.Quota == nil || outweighs(v, old) {
				repeat(old, v)
			}
		}
	}
	switch {
	case decides == nil:
		return
	case admitted:
		ans.Outcome = request.Admitted
	default:
		ans.Outcome = request.Denied
	}
	repeat(&ans.Verdict, decides)
}

// repeat sets to to v, field by field: v has just been written so, and a processor
// waits when it is to read in wider pieces than it wrote.
func repeat(to, v *request.Verdict) {
	to.Quota, to.Denied = v.Quota, v.Denied
	to.Remaining, to.ResetAfter, to.RetryAfter = v.Remaining, v.ResetAfter, v.RetryAfter
}

// verdict writes down what the i-th limit said.
func (s *scratch) verdict(i int, v *request.Verdict) {
	v.Quota = s.matched[i].Quota
	switch at := s.at[i]; at {
	case banned:
		v.Denied, v.Remaining, v.ResetAfter, v.RetryAfter = true, 0, 0, limit.Forever
	case unlimited:
		v.Denied, v.Remaining, v.ResetAfter, v.RetryAfter = false, limit.MaxAmount, 0, 0
	default:
		if at <= exactly {
			x := &s.exact[exactly-at]
			v.Denied = x.Outcome != lease.Admitted
			v.Remaining, v.ResetAfter, v.RetryAfter = x.Reading.Remaining, x.Reading.ResetAfter, x.Reading.RetryAfter
			return
		}
		c := &s.charges[at]
		v.Denied = !c.Admitted
		v.Remaining, v.ResetAfter, v.RetryAfter = c.Reading.Remaining, c.Reading.ResetAfter, c.Reading.RetryAfter
	}
}

// outweighs says whether a verdict has more to say than another: one that denied
// before one that did not, of those that denied the one that asks for the longer
// wait, of the others the one with the smaller part of its quota left.
func outweighs(v, old *request.Verdict) bool {
	switch {
	case v.Denied != old.Denied:
		return v.Denied
	case v.Denied:
		return v.RetryAfter > old.RetryAfter
	}
	return tighter(v, old)
}

// tighter says whether a has a smaller part of its quota left than b.
func tighter(a, b *request.Verdict) bool {
	// a.Remaining/a.Burst < b.Remaining/b.Burst, without the division.
	ahi, alo := bits.Mul64(uint64(a.Remaining), uint64(b.Quota.Burst))
	bhi, blo := bits.Mul64(uint64(b.Remaining), uint64(a.Quota.Burst))
	return ahi < bhi || ahi == bhi && alo < blo
}
