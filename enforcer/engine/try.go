package engine

import (
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Try fills in ans as Decide would, but nothing is charged or counted. It returns, for
// each of ans.Applied, who keeps its counter, as Keeping.By says. Two descriptors that ask for one
// counter that is shared exactly are each answered as if the other did not.
func (e *Engine) Try(now limit.Instant, req *request.Request, ans *request.Answer) (keepers []limit.NodeID) {
	ans.Reset(len(req.Descriptors))
	f, s := e.force.Load(), newScratch()
	domain := s.domain(f, req.Domain)
	if domain == nil {
		return nil
	}
	ans.KnownDomain = true
	s.matched, _ = s.matcher.Match(domain, f.seed, req, s.matched[:0])
	if len(s.matched) > 0 {
		admitted := e.gather(now, f, s)
		for i := range s.exact {
			x := &s.exact[i]
			if !admitted && !x.shadow { // it would be spared, too
				x.Cost = 0
			}
			e.lease.Look(now, &x.Charge)
			admitted = admitted && (x.shadow || x.Outcome == lease.Admitted)
		}
		if !admitted {
			s.spare()
		}
		s.answer(e.store.Ask(now, s.charges) && admitted, ans)
	}
	for i := range s.matched {
		keepers = append(keepers, e.keeper(f, &s.matched[i]))
	}
	return keepers
}
