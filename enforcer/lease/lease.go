// Package lease shares counters exactly: not one request more than a limit says
// passes, whatever a balancer does. Each counter has one owner among the nodes
// (ring.Table), who keeps the one book of it. A node that does not own a counter
// asks its owner for tokens: for one when a client comes for the first time, and
// ahead, sized by what it is asked for, while a client is busy. It then decides by
// itself until its lease is used up.
//
// Why that is exact. The owner keeps in its book what has been used, and what is
// outstanding, and grants no more than the rest. Tokens that are outstanding are
// still in the book, so they and what is left fill no further than the burst. What
// is used is debited when the owner hears of it, which is not before it was used.
// So over any stretch of time no more is admitted than was in the book at its begin
// and came in since: burst + rate*t.
//
// A lease ends: by the holder's clock no later than by the owner's, since both count
// from the same question, the holder from when it asked and the owner from when it
// heard. What is outstanding when it ends has been used, as far as the owner knows.
//
// Nothing has to arrive. Questions and grants are cumulative: one that is repeated or
// late changes nothing, and one that is lost is asked again. No clocks are compared.
//
// What a client gives back counts once the owner hears of it: a window that begins until
// then may have so much more in it.
//
// Another node, the successor, holds a copy of each book: what is used in it, and what
// is outstanding. The latter stays so at a new owner until those who hold it register
// with that one, or their leases have ended. A node that is to own a key waits until every
// other node it reaches has said that the key is not its own, and has told what it admitted
// while it could not reach an owner.
//
// Like package gossip this is a state machine without I/O: time and frames go in,
// frames come out through an Outbox.
package lease

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// Term is how long a lease lasts after the question that it answers. It bounds
	// how long tokens are lost that a node took with it when it died.
	Term = limit.Second

	// minAsk and maxAsk bound how often a busy counter's owner is asked.
	minAsk, maxAsk = 5 * limit.Millisecond, 50 * limit.Millisecond

	// askAgain is how long an answer is waited for before the question is repeated,
	// at first; each time twice as long, up to maxAsk.
	askAgain = 8 * limit.Millisecond

	// maxDeny bounds how long a node denies on what the owner said: tokens may come
	// back sooner than anybody can know.
	maxDeny = limit.Second

	// Patience is how long a request may wait for an owner's answer; one that gets
	// none is denied, lest more be admitted than the limit says.
	Patience = 50 * limit.Millisecond

	// silentAfter is how long an owner may leave questions without an answer before
	// it counts as one that cannot be reached.
	silentAfter = 500 * limit.Millisecond
)

// OnUnreachable is what a node does that cannot reach the owner of a counter. The
// zero value is LocalShare.
type OnUnreachable uint8

// What a node does that cannot reach the owner.
const (
	// LocalShare: it admits its own share, 1/N of the rate.
	LocalShare OnUnreachable = iota
	// Deny: it denies.
	Deny
	// Admit: it admits.
	Admit
)

// Outcome is what becomes of a charge. The zero value is Denied.
type Outcome uint8

// The outcomes.
const (
	Denied Outcome = iota
	Admitted
	// Pending: the owner is asked, and the Waiter woken when it has answered.
	Pending
)

// Ask is what a node tells the owner of a counter of its lease, and asks for.
// Counts are of tokens, cumulative within a life of the lease.
type Ask struct {
	Life     uint32       // of the lease: another one for each owner, and after a rest
	Carried  uint64       // granted by former owners, and held when this life began
	Granted  uint64       // that it knows of, with what it carried
	Settled  uint64       // of Granted: used, or lapsed with the lease
	Returned uint64       // of Granted: given back unused
	Refunded uint64       // of what was used: given back by clients
	Owed     uint64       // admitted while no owner could be reached, as far as it has not come in since
	Want     limit.Amount // what requests wait for, beyond what it holds
	Least    limit.Amount // of Want: what lets one of them go on
	Demand   float64      // tokens a second that it is asked for
	Stamp    uint32       // comes back with the Grant
}

// Grant is what the owner answers.
type Grant struct {
	Life    uint32       // of the lease that was asked for
	Granted uint64       // in all, with what it carried
	Gone    uint64       // of Granted: settled or returned, as far as the owner knows
	Stamp   uint32       // of the Ask
	Term    limit.Span   // what is granted may be used for so long since the Ask
	Deny    limit.Span   // so long since the Ask requests beyond it need not ask again
	Retry   limit.Span   // when there will be more
	Left    limit.Amount // in the book
	Reset   limit.Span   // until the book is the initial one
}

// askEvery is how often the owner of a busy counter is asked. A token waits in the book
// so long on the average, so the book must not be full by then. And it hears so late of
// what was used, which a sliding window counts from then on.
func askEvery(p *decide.Params) limit.Span {
	every := p.Per() / 100
	if p.Algorithm() != decide.Sliding {
		every = limit.Span(float64(p.Per()) / float64(p.Requests()) * float64(p.Burst()) / 4)
	}
	return min(max(every, minAsk), maxAsk)
}

// perSecond is the rate of a counter, in tokens a second.
func perSecond(p *decide.Params) float64 {
	return float64(p.Requests()) / float64(p.Per()) * float64(limit.Second)
}

// tokens returns what a rate comes to in a span.
func tokens(rate float64, d limit.Span) float64 { return rate * float64(d) / float64(limit.Second) }
