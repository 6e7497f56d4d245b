package scenario

import (
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// exactEngines are engines that share exactly: they may have to ask each other.
type exactEngines struct{ *engines }

func (e exactEngines) Boot(id Identity) (Limiter, error) {
	node, err := e.engines.Boot(id)
	if err != nil {
		return nil, err
	}
	return &exactNode{engineNode: node.(*engineNode), now: id.Now}, nil
}

type exactNode struct {
	*engineNode
	now func() limit.Instant
}

// IsHome says whether the node owns the only key that there is.
func (n *exactNode) IsHome(int) bool {
	for _, u := range n.engine.Report().Usage {
		if u.Active > 0 {
			return true
		}
	}
	return false
}

// wakeUp is how long it takes until a request goes on whose answer has come.
const wakeUp = 20 * limit.Millisecond / 1000

// Ask implements Patient, as a front end does it.
func (n *exactNode) Ask(key int, after func(limit.Span, func()), then func(admitted bool)) {
	r := &waiting{node: n, key: key, after: after, then: then}
	if r.try(r) {
		after(lease.Patience, func() {
			if !r.done {
				r.asleep = false
				r.try(nil)
			}
		})
	}
}

// waiting is one request.
type waiting struct {
	node         *exactNode
	key          int
	after        func(limit.Span, func())
	then         func(bool)
	asleep, done bool
}

// Wake implements lease.Waiter.
func (r *waiting) Wake() {
	if r.asleep {
		r.asleep = false
		r.after(wakeUp, func() {
			if !r.done {
				r.try(r)
			}
		})
	}
}

// try decides the request, if it can be by now.
func (r *waiting) try(w lease.Waiter) (waits bool) {
	n := r.node
	if w == nil {
		n.engine.Decide(n.now(), n.asks[r.key], &n.answer)
	} else if n.engine.DecideOrWait(n.now(), n.asks[r.key], &n.answer, w) {
		r.asleep = true
		return true
	}
	r.done = true
	r.then(n.answer.Outcome == request.Admitted)
	return false
}
