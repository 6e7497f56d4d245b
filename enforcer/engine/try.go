package engine

import (
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Try fills in ans as Decide would, but nothing is charged or counted.
func (e *Engine) Try(now limit.Instant, req *request.Request, ans *request.Answer) {
	ans.Reset(len(req.Descriptors))
	f, s := e.force.Load(), newScratch()
	domain := s.domain(f, req.Domain)
	if domain == nil {
		return
	}
	ans.KnownDomain = true
	s.matched, _ = s.matcher.Match(domain, f.seed, req, s.matched[:0])
	if len(s.matched) > 0 {
		free := e.gather(now, f, s)
		s.answer(e.store.Ask(now, s.charges) && free, ans)
	}
}
