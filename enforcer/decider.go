package enforcer

import (
	"sync"
	"time"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/internal/clock"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// decider asks the engine, at the time it is.
type decider struct {
	engine  *engine.Engine
	clock   *clock.Clock
	waiters sync.Pool // of *waiter
}

func newDecider(e *engine.Engine, c *clock.Clock) *decider {
	d := &decider{engine: e, clock: c}
	d.waiters.New = func() any {
		return &waiter{woken: make(chan struct{}, 1), patience: time.NewTimer(time.Hour)}
	}
	return d
}

// Decide decides, and waits for other enforcers if it has to: for lease.Patience at
// most.
func (d *decider) Decide(req *request.Request, ans *request.Answer) {
	if !d.engine.MayWait() {
		d.engine.Decide(d.clock.Now(), req, ans)
		return
	}
	w := d.waiters.Get().(*waiter)
	defer d.waiters.Put(w)
	w.forget()
	if !d.engine.DecideOrWait(d.clock.Now(), req, ans, w) {
		return
	}
	w.patience.Reset(lease.Patience.Duration())
	defer w.patience.Stop()
	for {
		select {
		case <-w.woken:
			w.forget()
			if !d.engine.DecideOrWait(d.clock.Now(), req, ans, w) {
				return
			}
		case <-w.patience.C:
			d.engine.Decide(d.clock.Now(), req, ans)
			return
		}
	}
}

// waiter is one request at a time that waits. It may be woken for one that it was
// before: that only makes it look once more, and ask once more.
type waiter struct {
	woken    chan struct{}
	patience *time.Timer
}

// forget makes nothing of a call of Wake that has come: it is going to look. Otherwise one
// that is woken twice asks twice, so that it is woken twice the next time as well.
func (w *waiter) forget() {
	select {
	case <-w.woken:
	default:
	}
}

// Wake implements lease.Waiter.
func (w *waiter) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}
