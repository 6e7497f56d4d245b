package engine

import (
	"sync"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

const (
	// maxOwn bounds the different rates that requests bring along and that are
	// remembered at a time.
	maxOwn = 4096

	// ownRest is how long a full list of them stands before it is begun anew.
	ownRest = 2 * limit.Minute
)

// ownMeters are the meters of limits that requests brought along. They are made
// when they are first needed. When there are too many, all are forgotten; those
// that are still in use come back, and find their counters in the store.
type ownMeters struct {
	meters []account.Meter // guarded by Engine.mu
	begun  limit.Instant   // when the list was begun; guarded by Engine.mu

	mu   sync.RWMutex
	refs map[rate]account.Ref
}

func (o *ownMeters) get(r rate) (account.Ref, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	ref, ok := o.refs[r]
	return ref, ok
}

func (o *ownMeters) set(r rate, ref account.Ref) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refs == nil {
		o.refs = map[rate]account.Ref{}
	}
	o.refs[r] = ref
}

func (o *ownMeters) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refs = nil
}

// ownMeter returns the meter of a limit that a request brought along; false when
// that grants nothing at all, or when there are too many different ones.
func (e *Engine) ownMeter(now limit.Instant, q *request.Quota) (account.Ref, bool) {
	r, ok := rateOf(q)
	if !ok {
		return 0, false
	}
	if ref, ok := e.own.get(r); ok {
		return ref, true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.addOwnLocked(now, r)
}

// addOwnLocked makes the meter of r, unless it is there.
func (e *Engine) addOwnLocked(now limit.Instant, r rate) (account.Ref, bool) {
	o := &e.own
	if ref, ok := o.get(r); ok {
		return ref, true
	}
	m, err := r.meter()
	if err != nil {
		return 0, false
	}
	if len(o.meters) >= maxOwn {
		if now.Sub(o.begun) < ownRest {
			return 0, false
		}
		o.meters = nil
		o.clear()
	}
	if len(o.meters) == 0 {
		o.begun = now
	}
	o.meters = append(o.meters, m)
	e.setMetersLocked(now, e.force.Load().meters)
	ref, ok := e.store.Ref(m.Limit, m.Variant)
	if ok {
		o.set(r, ref)
	}
	return ref, ok
}

// setMetersLocked tells the store which meters there are: those of the policies
// and those that requests brought along. It returns the Refs of the former.
func (e *Engine) setMetersLocked(now limit.Instant, policies []account.Meter) []account.Ref {
	all := append(policies[:len(policies):len(policies)], e.own.meters...)
	return e.store.SetMeters(now, all)[:len(policies)]
}
