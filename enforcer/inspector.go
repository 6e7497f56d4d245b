package enforcer

import (
	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// inspector answers what people ask of an enforcer that is ready.
type inspector struct{ *Enforcer }

// Explain implements admin.Inspector.
func (i inspector) Explain(r *inspect.Request) (*inspect.Explanation, error) {
	return inspect.Explain(i.engine.Snapshot(), r)
}

// Try implements admin.Inspector.
func (i inspector) Try(r *inspect.Request) (*inspect.Answer, error) {
	now := i.clock.Now()
	answer, err := inspect.Try(func(req *request.Request, ans *request.Answer) { i.engine.Try(now, req, ans) }, r)
	if err == nil {
		answer.Node = i.opts.Node
	}
	return answer, err
}
