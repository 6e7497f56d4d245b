package gossip

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// burst is how many pages answer one question, so that a hand-over is not
	// one round trip per page.
	burst = 16

	// maxServed bounds the pages sent to one peer in one Interval.
	maxServed = 256

	// retry is when a question to a peer that is there is repeated.
	retry = 3 * Interval
)

// ask asks every peer that is out of step for its next page of counters. The
// server keeps no state: a question or an answer that is lost is asked again.
func (n *Node) ask(now limit.Instant, out Outbox) {
	if !n.loaded {
		return
	}
	for _, p := range n.peers {
		if !p.skip() && !p.synced && now >= p.askAt {
			n.askPage(now, p, out)
		}
	}
}

func (n *Node) askPage(now limit.Instant, p *peer, out Outbox) {
	p.askAt = now.Add(pulse)
	if p.heard {
		p.askAt = now.Add(retry)
	}
	p.ahead = p.ahead[:0]
	n.begin(kindAsk)
	n.out.cursor(p.cursor)
	n.send(p, out)
}

// serve answers a question with pages from cursor on.
func (n *Node) serve(now limit.Instant, p *peer, cursor uint64, out Outbox) {
	for i := range burst {
		if p.served >= maxServed {
			return
		}
		p.served++
		n.begin(kindPage)
		at := n.out.page(cursor)
		next, done := n.counters.Scan(now, cursor, n.out.room(), func(e Entry) { n.out.entry(&e) })
		n.out.finishPage(at, next, done, i+1 < burst)
		n.send(p, out)
		if done {
			return
		}
		cursor = next
	}
}

// link is what a page says of its place among the pages.
type link struct {
	cursor, next uint64
	done, more   bool
}

// learn takes over a page of a peer's counters. Pages may come late, twice or in
// any order: taking one over again changes nothing, and one that came too early
// is remembered until those before it are there.
func (n *Node) learn(now limit.Instant, p *peer, f *frame, out Outbox) {
	for i := range f.entries {
		n.take(now, p, f, &f.entries[i])
	}
	if p.synced {
		return
	}
	if len(p.ahead) < burst {
		p.ahead = append(p.ahead, f.link)
	}
	for {
		i := slices.IndexFunc(p.ahead, func(l link) bool { return l.cursor == p.cursor })
		if i < 0 {
			return
		}
		l := p.ahead[i]
		p.ahead = slices.Delete(p.ahead, i, i+1)
		switch p.cursor = l.next; {
		case l.done:
			p.synced, p.cursor = true, 0
			n.settle(now)
			return
		case !l.more:
			n.askPage(now, p, out)
			return
		}
	}
}
