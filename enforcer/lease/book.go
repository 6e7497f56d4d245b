package lease

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// book is what the owner keeps of one counter.
//
// Invariant: outstanding is the sum of the accounts' own, and what a book grants
// leaves left() at 0 or above.
type book struct {
	id     share.ID
	params *decide.Params
	state  decide.State // what was used; what is outstanding is not in it

	accounts    []account
	outstanding limit.Amount

	here    meter // what is asked for at the owner itself
	turn    turn  // of that
	usedAt  limit.Instant
	cameAt  limit.Instant // here, from another node or out of nothing
	copied  bool          // it is another node's
	changed bool          // somebody is to be told
	queued  bool          // in shard.telling
	toldAt  limit.Instant
	from    int32  // whom a copy came from,
	version uint32 // and with which frame
}

// former is the node of the account of all tokens that the owner before this one had
// outstanding. Those who hold them register; what is left of it when a lease would have
// ended has been used.
const former = -1

// account is what one node has of a book.
type account struct {
	node     int32
	life     uint32
	granted  uint64
	settled  uint64 // used, or taken for used
	returned uint64
	refunded uint64
	owed     uint64
	until    limit.Instant // of the lease
	demand   float64
	credit   float64 // a part of a token that it was not granted yet
	heardAt  limit.Instant
}

func (a *account) gone() uint64              { return a.settled + a.returned }
func (a *account) outstanding() limit.Amount { return limit.Amount(a.granted - a.gone()) }

// debit takes what was admitted without the book, as far as there is any: nobody shall
// starve for it.
func (b *book) debit(now limit.Instant, owed uint64) {
	b.move(now, min(limit.Amount(owed), max(0, b.left(now))))
}

// left returns the tokens that are neither used nor outstanding. It is below zero after a
// debit that nobody asked for, as when a rate was lowered.
func (b *book) left(now limit.Instant) limit.Amount {
	return b.params.Burst().Sub(b.params.Used(b.state, now)).Sub(b.outstanding)
}

// told is the state that clients and other nodes are told of: what is outstanding is not
// theirs any more.
func (b *book) told(now limit.Instant) decide.State {
	return b.params.Move(b.state, now, b.outstanding)
}

// take takes tokens for a request at the owner itself.
func (b *book) take(now limit.Instant, cost limit.Amount) bool {
	b.lapse(now)
	b.here.count(now, max(0, cost))
	b.usedAt = now
	if left := b.left(now); cost >= 0 && (max(1, cost) > left || !b.turns(now, left, cost)) {
		return false
	}
	b.move(now, cost)
	return true
}

// move takes tokens, or gives them back.
func (b *book) move(now limit.Instant, cost limit.Amount) {
	if cost != 0 {
		b.state = b.params.Move(b.state, now, cost)
		b.changed = true
	}
}

// lapse takes for used what is outstanding of leases that have ended. It was used,
// if at all, before they did.
func (b *book) lapse(now limit.Instant) {
	if b.outstanding == 0 {
		return
	}
	for i := range b.accounts {
		if a := &b.accounts[i]; a.until <= now {
			b.settle(a.until.Add(-1), a, uint64(a.outstanding()))
		}
	}
}

// settle debits tokens of an account that were used.
func (b *book) settle(now limit.Instant, a *account, n uint64) {
	n = min(n, uint64(a.outstanding()))
	a.settled += n
	b.outstanding -= limit.Amount(n)
	b.move(now, limit.Amount(n))
}

// find returns the account of a node, or nil.
func (b *book) find(node int32) *account {
	for i := range b.accounts {
		if b.accounts[i].node == node {
			return &b.accounts[i]
		}
	}
	return nil
}

// open begins a life of a node's account. What it carried is outstanding already: of
// its former life, or as the former owner said. Only what was granted since that one
// told of it is not; and it has been used where the window has ended, and the lease
// with it.
func (b *book) open(now limit.Instant, node int32, k *Ask) *account {
	carried := uint64(0)
	if k.Granted == k.Carried { // or else it is an account that was forgotten
		carried = k.Carried
	}
	a := b.find(node)
	if a == nil {
		b.release(former, carried)
		b.accounts = append(b.accounts, account{})
		a = &b.accounts[len(b.accounts)-1]
	} else {
		b.release(former, carried-b.release(node, carried))
		b.settle(now, a, uint64(a.outstanding()))
	}
	*a = account{node: node, life: k.Life, granted: k.Granted, settled: k.Settled, returned: k.Returned, refunded: k.Refunded, owed: k.Owed}
	if k.Granted == k.Carried {
		a.settled, a.returned, a.refunded, a.owed = 0, 0, 0, 0 // hear makes the difference
		if carried > 0 && b.params.WindowEnd(b.cameAt) <= now {
			a.settled = carried
		}
	}
	b.outstanding += a.outstanding()
	return a
}

// release returns how many of n tokens were outstanding to a node, and are not any more.
func (b *book) release(node int32, n uint64) uint64 {
	a := b.find(node)
	if a == nil {
		return 0
	}
	n = min(n, uint64(a.outstanding()))
	a.returned += n
	b.outstanding -= limit.Amount(n)
	b.changed = b.changed || n > 0
	return n
}

// hear takes over what a node says of its lease, and answers it. It is not ok when
// a newer life of the lease is known.
func (b *book) hear(now limit.Instant, node int32, k *Ask) (g Grant, ok bool) {
	b.lapse(now)
	a := b.find(node)
	switch {
	case a == nil || int32(k.Life-a.life) > 0:
		a = b.open(now, node, k)
	case k.Life != a.life:
		return Grant{}, false
	}
	if k.Settled > a.settled {
		b.settle(now, a, k.Settled-a.settled)
	}
	b.release(node, less(k.Returned, a.returned))
	if back := less(k.Refunded, a.refunded); back > 0 {
		a.refunded += back
		b.move(now, -limit.Amount(min(back, uint64(decide.MaxRequests))))
	}
	if owed := less(k.Owed, a.owed); owed > 0 {
		a.owed += owed
		b.debit(now, owed)
	}
	passed := now.Sub(a.heardAt)
	a.demand, a.heardAt, b.usedAt = k.Demand, now, now
	a.until = max(a.until, min(now.Add(Term), b.params.WindowEnd(now)))
	return b.grant(now, passed, a, k), true
}

// grant gives a node what its requests wait for, as far as there is room, and ahead
// what it will be asked for until it asks again, as far as others leave it. So much time
// has passed since it asked before.
func (b *book) grant(now limit.Instant, passed limit.Span, a *account, k *Ask) Grant {
	flying := limit.Amount(less(a.granted, k.Granted)) // granted, and not heard of yet
	need := max(0, k.Want-flying)
	free, given := b.left(now), limit.Amount(0)
	if least := max(1, k.Least-flying); need > 0 && free >= least {
		given = min(need, free-free%least) // a part of what a request costs helps nobody
	}
	unmet := need > 0 && given == 0

	span := 2 * askEvery(b.params)
	all := b.demand(now)
	spare := free - given
	coming := tokens(k.Demand, span)
	if ahead := coming - float64(b.rest(a, k)+given-need); ahead > 0 && coming >= 1 && spare > 0 && !unmet {
		part := float64(spare) * k.Demand / all
		if b.scarce(now, spare, all) { // a part of what comes in, as it is at the owner
			part = tokens(b.part(k.Demand, all), min(passed, 2*span))
		}
		part = min(ahead, part) + a.credit
		whole := min(limit.Amount(part), spare)
		a.credit = min(part-float64(whole), 1)
		given, spare = given+whole, spare-whole
	}
	a.granted += uint64(given)
	b.outstanding += given
	if given > 0 {
		b.changed = true
	}

	told := b.told(now)
	r := b.params.Describe(told, now)
	g := Grant{
		Life: a.life, Granted: a.granted, Gone: a.gone(), Stamp: k.Stamp, Term: a.until.Sub(now),
		Left: max(0, b.left(now)), Reset: r.ResetAfter,
		Retry: b.retryAfter(now, min(max(1, k.Least-flying), b.params.Burst())),
	}
	if unmet {
		g.Deny = min(g.Retry, maxDeny)
	}
	// While all of them ask for more than comes in, a busy node gets its part each
	// time that it asks, and its requests need not wait for it.
	if float64(spare) < tokens(all, span)/2 && !b.sufficient(now, all) && coming >= 1 {
		g.Deny = Term / 2
	}
	return g
}

// retryAfter is when a denied request is to come again. What is lent may come back at the
// end of the leases, however long it takes until something comes in.
func (b *book) retryAfter(now limit.Instant, cost limit.Amount) limit.Span {
	retry := b.params.RetryAfter(b.told(now), now, cost)
	if b.outstanding > 0 && max(1, cost) <= b.left(now).Add(b.outstanding) {
		retry = min(retry, Term)
	}
	return max(retry, limit.Millisecond)
}

// rest returns what a node holds, or will when all has arrived that was granted,
// once its waiting requests took what they can.
func (b *book) rest(a *account, k *Ask) limit.Amount {
	flying := limit.Amount(less(a.granted, k.Granted))
	if k.Want > 0 {
		return max(0, flying-k.Want)
	}
	return limit.Amount(less(k.Granted, k.Settled+k.Returned)) + flying
}

// sufficient says whether what comes in is enough for all that is asked for. It is as well
// while most of the burst was not used: what of it is lent is with nodes that were asked
// for more than they are now, as those are that a client has left, and comes back. Into a
// window nothing comes before its end.
func (b *book) sufficient(now limit.Instant, all float64) bool {
	return b.params.Algorithm() == decide.Bucket && (all <= perSecond(b.params) || b.params.Used(b.state, now) < b.params.Burst()/2)
}

// demand returns what all nodes are asked for, in tokens a second.
func (b *book) demand(now limit.Instant) float64 {
	return max(b.here.rate(now)+b.elsewhere(now), math.SmallestNonzeroFloat32)
}

// elsewhere returns what other nodes are asked for.
func (b *book) elsewhere(now limit.Instant) (sum float64) {
	busy := 2*askEvery(b.params) + 2*minAsk // who is, asks more often
	for i := range b.accounts {
		if a := &b.accounts[i]; now.Sub(a.heardAt) < busy {
			sum += a.demand
		}
	}
	return sum
}

// sum is what is told of a book: a copy does not need to know who holds what.
type sum struct {
	used, outstanding limit.Amount
	past              past // of used
}

func (b *book) sum(now limit.Instant) sum {
	b.lapse(now)
	return sum{b.params.Used(b.state, now), b.outstanding, pastOf(b.params, b.state, now)}
}

// copy makes the book what another node says of it. No lease in it ends before this
// node owns it: the owner hears of them until then.
func (b *book) copy(now limit.Instant, s sum) {
	b.state, b.accounts, b.outstanding = s.past.state(b.params, s.used, now), b.accounts[:0], s.outstanding
	if s.outstanding > 0 {
		b.accounts = append(b.accounts, account{node: former, granted: uint64(s.outstanding), until: limit.Never})
	}
	b.copied, b.cameAt = true, now
}

// own makes a copy the book.
func (b *book) own(now limit.Instant) {
	if !b.copied {
		return
	}
	b.copied = false
	if a := b.find(former); a != nil {
		a.until = min(now.Add(Term), b.params.WindowEnd(b.cameAt))
	}
}

// catchUp debits what another node says that it has counted, beyond what is counted
// here: it has come too late, or a second time.
func (b *book) catchUp(now limit.Instant, s sum) {
	here := b.sum(now)
	b.move(now, max(0, s.used.Add(s.outstanding)-here.used.Add(here.outstanding)))
}

// rescale makes the book count by other parameters. Mostly they are the same in another
// place: that of the newest snapshot, so that no older one is held on to.
func (b *book) rescale(now limit.Instant, p *decide.Params) {
	if *b.params != *p {
		b.lapse(now)
		b.state = decide.Rescale(b.state, now, b.params, p)
	}
	b.params = p
}

// idle says whether the book says nothing: nothing is used or outstanding.
func (b *book) idle(now limit.Instant) bool {
	b.lapse(now)
	return b.outstanding == 0 && b.params.IdleAt(b.state) <= now && now.Sub(b.usedAt) > Term
}

// less returns a-b, or 0 if b is more.
func less(a, b uint64) uint64 { return a - min(a, b) }

// meter estimates how many tokens a second are asked for, by stretches of some
// requests each. The zero meter has seen nothing.
type meter struct {
	since    limit.Instant
	requests int
	sum      limit.Amount
	last     float64
}

const (
	// meterSpan and meterMost are how long a stretch takes at least, and at most;
	// between them it ends with meterRequests.
	meterSpan, meterMost = 50 * limit.Millisecond, limit.Second
	meterRequests        = 8
)

func (m *meter) count(now limit.Instant, cost limit.Amount) {
	m.roll(now)
	m.requests++
	m.sum = m.sum.Add(cost)
}

// roll ends a stretch.
func (m *meter) roll(now limit.Instant) {
	passed := now.Sub(m.since)
	switch {
	case m.since == 0 || passed < 0 || passed > 2*meterMost: // a client that was away
		*m = meter{since: now}
	case passed >= meterMost, passed >= meterSpan && m.requests >= meterRequests:
		rate := float64(m.sum) / float64(passed) * float64(limit.Second)
		*m = meter{since: now, last: m.last + (rate-m.last)*min(1, float64(passed)/float64(2*meterSpan))}
	}
}

// rate returns the estimate; in the first stretch what it has come to so far, once
// that says anything.
func (m *meter) rate(now limit.Instant) float64 {
	m.roll(now)
	if m.last == 0 && m.requests >= meterRequests {
		return float64(m.sum) / float64(max(now.Sub(m.since), meterSpan/4)) * float64(limit.Second)
	}
	return m.last
}
