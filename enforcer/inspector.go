package enforcer

import (
	"errors"

	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
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
	answer, err := inspect.Try(func(req *request.Request, ans *request.Answer) []limit.NodeID { return i.engine.Try(now, req, ans) }, r)
	if err == nil {
		answer.Node = i.opts.Node
	}
	return answer, err
}

// errChanged is rare: a limit went away while its counter was looked for.
var errChanged = errors.New("the policies have just changed: ask again")

// Look implements admin.Inspector.
func (i inspector) Look(c *inspect.Client) (*inspect.Counter, error) {
	if err := c.Check(i.engine.Snapshot()); err != nil {
		return nil, err
	}
	now, name := i.clock.Now(), policy.Name(c.Name)
	charge, reading, ok := i.engine.Look(now, name, c.Key)
	if !ok {
		return nil, errChanged
	}
	out := c.Counter(&charge, reading)
	kept := i.engine.Kept(now, name, c.Key)
	out.Node, out.KeptBy, out.Lent = i.opts.Node, string(kept.By), int64(kept.Lent)
	return out, nil
}

// Reset implements admin.Inspector. The log says of which limit, and not of which
// client: keys are often credentials.
func (i inspector) Reset(c *inspect.Client) (*inspect.Counter, error) {
	if err := c.Check(i.engine.Snapshot()); err != nil {
		return nil, err
	}
	charge, ok := i.engine.Fill(i.clock.Now(), policy.Name(c.Name), c.Key)
	switch {
	case !ok:
		return nil, errChanged
	case charge.Deny || charge.Unlimited:
		return nil, inspect.ErrNoCounter
	}
	i.opts.Log.Info("somebody reset a client's counter", "limit", c.Name)
	return i.Look(c)
}
