package lease

import (
	"sync/atomic"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// Waiter is a request that waits for an owner's answer.
type Waiter interface {
	// Wake says that it is worth asking again. It is called under a lock: it must
	// not block, and must not call back. Waking twice does no harm.
	Wake()
}

// holder is what a node that is not the owner has of one counter.
type holder struct {
	id     share.ID
	params *decide.Params

	owner int32  // that the lease is registered with
	life  uint32 // of the lease, see Ask; 0 is none yet
	// Of this life, and as in Ask.
	carried, granted, settled, returned, refunded, owed uint64

	until     limit.Instant // of the lease
	denyUntil limit.Instant // requests beyond what is held need not ask
	moreAt    limit.Instant // when the owner expects to have more
	heardAt   limit.Instant // from the owner, last
	left      limit.Amount  // in the book, as it said then
	resetAt   limit.Instant

	waiters []Waiter
	waiting limit.Amount // what they cost
	least   limit.Amount // the cheapest of them

	asked   meter
	usedAt  limit.Instant // by a request
	askedAt limit.Instant // the owner, last
	tries   uint8         // since it answered
	told    uint64        // of settled
	dirty   bool          // it is to be asked
	queued  bool          // in shard.asking
	urgent  bool          // in shard.urgent
	holding bool          // in shard.holding

	// While no owner can be reached: what is admitted, in a bucket of the node's own. Nil
	// means that there is none.
	alone *alone
}

// alone is a node's own share of a counter while it cannot reach the owner: a bucket
// into which one of so many parts of the rate comes, and which begins with that part of
// what the owner had. What came in there since is not counted: others may reach it, and
// have that.
type alone struct {
	params decide.Params
	state  decide.State
	took   limit.Amount // that the owner was not told of
	told   limit.Amount // that it was, and has not answered
}

// newAlone makes the share, of a counter whose owner had so much left when it was heard of.
func newAlone(now limit.Instant, p *decide.Params, parts, left limit.Amount) *alone {
	a := &alone{params: localShare(p, parts)}
	a.state = a.params.Debit(decide.State{}, now, a.params.Burst()-min(a.params.Burst(), left/parts))
	return a
}

// take takes tokens, or gives them back.
func (a *alone) take(now limit.Instant, cost limit.Amount) {
	a.state = a.params.Move(a.state, now, cost)
	a.took = max(0, a.took.Add(cost))
}

// owed is what of it the owner has to debit: what has come in since is not missing
// there either. Nil owes nothing.
func (a *alone) owed(now limit.Instant) limit.Amount {
	if a == nil {
		return 0
	}
	return min(a.took, a.params.Used(a.state, now))
}

// localShare is a node's part of a rate: a bucket that one of so many parts comes
// into, and that holds as much of the burst, but at least a token.
func localShare(p *decide.Params, parts limit.Amount) decide.Params {
	per := limit.Span(min(float64(p.Per())*float64(parts), float64(decide.MaxPer)))
	share, err := decide.TokenBucket(p.Requests(), per, max(1, p.Burst()/parts))
	if err != nil { // a bucket that takes more than 100 years to fill: with a token it does not
		share, _ = decide.TokenBucket(1, decide.MaxPer, 1)
	}
	return share
}

func (h *holder) held() limit.Amount {
	return limit.Amount(h.granted - h.settled - h.returned)
}

// lapse gives up what is held when the lease has ended. An owner who has not heard of
// it by then need not: for that one it has been used.
func (h *holder) lapse(now limit.Instant) {
	if now >= h.until {
		h.settled += uint64(h.held())
		h.carried = 0
	}
}

// has says whether the lease covers a cost.
func (h *holder) has(now limit.Instant, cost limit.Amount) bool {
	h.lapse(now)
	return h.held() >= max(1, cost)
}

// take decides by the lease alone. It is Pending where the owner has to be asked.
func (h *holder) take(now limit.Instant, cost limit.Amount) Outcome {
	h.lapse(now)
	h.usedAt = now
	h.asked.count(now, max(0, cost))
	need := max(1, cost)
	switch {
	case cost < 0:
		h.refunded += refund(cost)
		h.dirty = true
		return Admitted
	case h.held() >= need:
		h.settled += uint64(cost)
		return Admitted
	case cost > h.params.Burst() || now < h.denyUntil:
		return Denied
	}
	return Pending
}

// refund is what a negative cost gives back: no counter has had more.
func refund(cost limit.Amount) uint64 { return uint64(-max(cost, -decide.MaxRequests)) }

// undo takes a charge back that take has admitted in a life of the lease. What the
// owner has heard of by then stays used: given back late, it would be so in a book that
// time has filled already.
func (h *holder) undo(now limit.Instant, life uint32, cost limit.Amount) {
	switch {
	case life != h.life:
	case cost < 0:
		h.refunded -= min(h.refunded, refund(cost))
	default:
		h.settled -= min(h.settled-min(h.settled, h.told), uint64(cost))
		h.lapse(now)
	}
}

// wait has a request wait for the owner's answer.
func (h *holder) wait(w Waiter, cost limit.Amount) {
	h.waiters = append(h.waiters, w)
	h.waiting = h.waiting.Add(max(1, cost))
	if h.least == 0 || cost < h.least { // what costs nothing waits for a token
		h.least = max(1, cost)
	}
	h.dirty = true
}

// wake has all who wait ask again.
func (h *holder) wake() {
	for i, w := range h.waiters {
		w.Wake()
		h.waiters[i] = nil
	}
	h.waiters, h.waiting, h.least = h.waiters[:0], 0, 0
}

// due says whether to ask the owner now: requests wait, or a busy counter's lease runs
// low, or much was used that the owner does not know of, or the last question was lost.
func (h *holder) due(now limit.Instant, parts limit.Amount) bool {
	since := now.Sub(h.askedAt)
	switch {
	case h.alone != nil: // the owner should not give to others what it admits meanwhile
		return since >= askAgain
	case h.tries > 0:
		return since >= min(askAgain<<(h.tries-1), maxAsk)
	}
	every := askEvery(h.params)
	return h.dirty || since >= every && h.usedAt > h.askedAt || since >= every/4 && h.owes(parts)
}

// deserted says that nobody comes any more who did.
func (h *holder) deserted(now limit.Instant) bool {
	return now.Sub(h.usedAt) > 2*askEvery(h.params)+meterSpan
}

// owes says whether more was used, and not told, than is small for the burst. What is
// outstanding leaves less room for what comes in.
func (h *holder) owes(parts limit.Amount) bool {
	return limit.Amount(h.settled-min(h.settled, h.told)) > h.params.Burst()/(4*parts)
}

// move registers the lease with another owner: what is held goes along. So it is with
// the same owner before the counts become too large for a frame.
func (h *holder) move(now limit.Instant, owner int32, lives *atomic.Uint32) {
	if h.owner == owner && h.life != 0 && max(h.granted, h.refunded) < maxCount/2 {
		return
	}
	h.lapse(now)
	held := uint64(h.held())
	h.owner, h.life = owner, lives.Add(1)
	h.carried, h.granted, h.settled, h.returned, h.refunded, h.owed = held, held, 0, 0, 0, 0
	if h.alone != nil {
		h.owed = uint64(h.alone.told)
	}
	h.denyUntil, h.tries, h.askedAt, h.told = 0, 0, 0, 0
	h.dirty = h.dirty || held > 0 || len(h.waiters) > 0
}

// owe has the owner told what it has to debit of what the node decided by itself. It
// goes on with that until the owner answers.
func (h *holder) owe(now limit.Instant) {
	if h.alone == nil {
		return
	}
	owed := h.alone.owed(now)
	h.owed += uint64(owed)
	h.alone.told, h.alone.took = h.alone.told.Add(owed), 0
}

// ask makes the question for the owner.
func (h *holder) ask(now limit.Instant) Ask {
	h.lapse(now)
	demand := h.asked.rate(now)
	if h.deserted(now) { // nobody comes any more
		demand = 0
		h.returned += uint64(h.held())
	}
	h.askedAt, h.dirty, h.told = now, false, h.settled
	h.tries = min(h.tries+1, 8)
	return Ask{
		Life: h.life, Carried: h.carried, Granted: h.granted, Settled: h.settled, Returned: h.returned,
		Refunded: h.refunded, Owed: h.owed, Want: max(0, h.waiting-h.held()), Least: max(0, h.least-h.held()),
		Demand: demand, Stamp: stampOf(now),
	}
}

// hear takes the owner's answer.
func (h *holder) hear(now limit.Instant, g *Grant) {
	if g.Life != h.life {
		return
	}
	h.lapse(now)
	h.carried = 0 // it is registered
	since := timeOf(g.Stamp, now)
	h.granted = max(h.granted, g.Granted)
	// What the owner holds for gone is not used, even if it arrives only now.
	if gone := h.settled + h.returned; gone < g.Gone {
		h.settled += min(g.Gone, h.granted) - gone
	}
	h.until = max(h.until, since.Add(g.Term-g.Term/100)) // clocks run at different speeds, a little
	h.lapse(now)
	if since < timeOf(stampOf(h.askedAt), now) {
		h.wake()
		return // an answer to an earlier question
	}
	if h.alone != nil {
		h.owe(now)
		h.alone, h.dirty = nil, true
	}
	h.tries = 0
	if h.denyUntil = 0; g.Deny > 0 { // at least until those have seen it who waited for the answer
		h.denyUntil = max(since.Add(g.Deny), now.Add(limit.Millisecond))
	}
	h.moreAt = now.Add(g.Retry)
	h.heardAt, h.left, h.resetAt = now, g.Left, now.Add(g.Reset)
	h.wake()
}

// reading is what a client is told.
func (h *holder) reading(now limit.Instant, denied bool, cost limit.Amount) decide.Reading {
	r := decide.Reading{Remaining: min(h.left.Add(h.held()), h.params.Burst()), ResetAfter: max(0, h.resetAt.Sub(now))}
	if denied {
		r.Remaining = h.held()
		if r.RetryAfter = max(limit.Millisecond, h.moreAt.Sub(now)); cost > h.params.Burst() {
			r.RetryAfter = limit.Forever
		}
	}
	return r
}

// idle says that there is nothing to remember: nothing is held, all is told, and
// nobody came for a while.
func (h *holder) idle(now limit.Instant) bool {
	h.lapse(now)
	return h.held() == 0 && !h.dirty && h.tries == 0 && len(h.waiters) == 0 &&
		now.Sub(h.usedAt) > 2*Term && now >= h.denyUntil && h.alone == nil
}

// stampOf is an instant as a question carries it: microseconds, which wrap around
// after 71 minutes.
func stampOf(t limit.Instant) uint32 { return uint32(int64(t) / 1000) }

// timeOf returns the instant, no later than now, that a stamp was made at. A stamp is
// rounded down, so what counts from it ends no later.
func timeOf(stamp uint32, now limit.Instant) limit.Instant {
	return now.Add(-limit.Span(stampOf(now)-stamp) * 1000)
}
