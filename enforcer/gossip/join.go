package gossip

import (
	"encoding/binary"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	// pullAgain is when a node that joins asks a peer again that has not answered
	// in full.
	pullAgain = 200 * limit.Millisecond

	// servePart is the part of a limit below which a counter is handed to a node
	// that joins: of the others it may suppose that they are full.
	servePart = .75

	// serveFrames bounds the frames to one joining node in one Tick.
	serveFrames = 64

	// maxPages bounds a hand-over: 20 million counters.
	maxPages = 1 << 20

	// flushKeys bounds the counters that a leaving node settles in one Tick.
	flushKeys = 10_000
)

// join is how far a node has come with joining and leaving.
type join struct {
	listed, loaded bool          // SetView, Start was called
	since          limit.Instant // both were
	settled        bool
	flushing       bool // tokens that nobody was told of are looked for
	found          bool // all of them are found
	flushed        bool // of a leaving node: no token is untold
}

// pull is what a node that joins asks of a peer.
type pull struct {
	number uint32
	askAt  limit.Instant
	pages  []bool // that came
	done   bool
}

// serving is what a node hands to a peer that joins.
type serving struct {
	number uint32
	keys   []*home
	page   uint32
	pages  uint32
}

// Joined says whether the node has its peers' counts, or has waited for them
// long enough. Once true it stays true: a peer that goes away or comes back
// later is no reason to send requests elsewhere.
func (n *Node) Joined() bool { return n.join.settled }

// Left says whether a node that leaves has told all that it took, as far as there is
// anybody to tell.
func (n *Node) Left() bool {
	return n.leaving && n.join.flushed && (len(n.homes.list) == 0 || n.others == 0)
}

// Start says that the limits are known, so that peers' counts can be taken
// over. It is called again when the limits changed: a node that still joins
// then asks its peers once more.
func (n *Node) Start(now limit.Instant) {
	j := &n.join
	if !j.loaded {
		j.loaded, j.since = true, now
	}
	if !j.settled {
		for _, p := range n.peers {
			if p != nil {
				p.pull = pull{number: p.pull.number}
			}
		}
	}
	n.settle(now)
}

// settle notes that the node has joined, once it has.
func (n *Node) settle(now limit.Instant) {
	j := &n.join
	if j.settled || !j.listed || !j.loaded {
		return
	}
	waits := now.Sub(j.since) < joinWait
	if waits && len(n.byAddr)+1 < n.expected {
		return // some are expected, and not met yet
	}
	for _, p := range n.peers {
		if waits && p != nil && p.State != Unreachable && !p.pull.done {
			return
		}
	}
	j.settled = true
	n.rebuild(now)
	for _, p := range n.peers { // they have to know at once
		if p != nil {
			p.greetAt = now
		}
	}
}

// tickJoin asks peers, answers them, and has a leaving node tell everything.
func (n *Node) tickJoin(now limit.Instant, out Outbox) {
	for _, p := range n.peers {
		if p == nil {
			continue
		}
		if n.join.loaded && !n.join.settled && p.State != Unreachable && !p.pull.done && now >= p.pull.askAt {
			n.ask(now, p, out)
		}
		n.serve(now, p, out)
	}
	n.settle(now)
	j := &n.join
	if n.leaving && n.alone { // there is nobody to tell
		j.flushed = true
	}
	if j.flushing = j.flushing || n.leaving && !j.flushed; j.flushing && !n.alone {
		j.found = j.found && n.quiet // what is found is told at the next Tick
		if !j.found {
			j.found = n.counters.Flush(now, flushKeys)
		} else {
			j.flushing, j.flushed, j.found = false, true, false
		}
	}
}

func (n *Node) ask(now limit.Instant, p *peer, out Outbox) {
	p.pull = pull{number: p.pull.number + 1, askAt: now.Add(pullAgain)}
	w := &n.scratch
	n.begin(w, kindPull)
	w.buf = binary.BigEndian.AppendUint32(w.buf, p.pull.number)
	n.send(now, p, w, out)
}

// pulled begins to hand over the counters that a joining node has to know.
func (n *Node) pulled(now limit.Instant, p *peer, f *frame) {
	if f.number == p.serving.number {
		return // asked again while it is being answered
	}
	s := serving{number: f.number}
	for _, h := range n.homes.list {
		if params, rule, ok := n.counters.Rule(now, h.Limit, h.Variant); ok && h.Below(params, rule, servePart, now) {
			s.keys = append(s.keys, h)
		}
	}
	perPage := (MaxFrame - headerSize - pageSize - routeSize) / maxEntrySize
	s.pages = max(1, min(maxPages, uint32((len(s.keys)+perPage-1)/perPage)))
	p.serving = s
}

// serve sends the next pages to a joining node.
func (n *Node) serve(now limit.Instant, p *peer, out Outbox) {
	s := &p.serving
	for i := 0; i < serveFrames && s.page < s.pages; i++ {
		w := &n.scratch
		n.begin(w, kindPage)
		for _, v := range []uint32{s.number, s.page, s.pages} {
			w.buf = binary.BigEndian.AppendUint32(w.buf, v)
		}
		for len(s.keys) > 0 && !w.full() {
			h := s.keys[0]
			s.keys = s.keys[1:]
			if params, rule, ok := n.counters.Rule(now, h.Limit, h.Variant); ok {
				state := h.State(params, rule, now)
				w.state(&h.ID, &state)
			}
		}
		n.send(now, p, w, out)
		s.page++
	}
}

// learn takes over a page. Pages may come late, twice or in any order.
func (n *Node) learn(now limit.Instant, p *peer, f *frame) {
	for i := range f.entries {
		if e := &f.entries[i]; e.isState {
			n.adopt(now, p, f.seq, e)
		}
	}
	if p.pull.done || f.number != p.pull.number {
		return
	}
	if len(p.pull.pages) != int(f.pages) {
		p.pull.pages = make([]bool, f.pages)
	}
	p.pull.pages[f.index] = true
	p.pull.askAt = now.Add(pullAgain)
	p.pull.done = true
	for _, came := range p.pull.pages {
		p.pull.done = p.pull.done && came
	}
	n.settle(now)
}

// adopt takes over a counter of a former home.
func (n *Node) adopt(now limit.Instant, p *peer, seq uint32, e *entry) {
	if first, _ := n.ring.Owner(e.Key); first != self {
		n.hearState(now, p, seq, e)
		return
	}
	rep := share.Report{Level: e.state.Level, HandOver: true, Register: true, OthersRate: e.state.Rate, OthersDemand: e.state.Demand}
	if params, rule, ok := n.counters.Rule(now, e.Limit, e.Variant); ok {
		h, _ := n.homes.open(now, e.ID, &rep, rule)
		n.apply(now, h, params, rule, share.Sender{Node: p.number, Life: uint32(p.life), Seq: seq}, &rep)
	}
	n.counters.With(now, e.ID, true, func(c *share.Counter) {
		c.Settle(now)
		c.Hear(now, &e.state)
	})
}
