package gossip

import "github.com/sluice-dev/sluice/enforcer/limit"

const (
	// rounds is how often a value is sent unless a newer one replaces it.
	rounds = 3

	// maxFrames bounds the frames that a node sends in one Interval, to all
	// peers together, and perPeer those to each. Above that counters wait for
	// their turn, and what they then say covers all that happened meanwhile.
	maxFrames = 512
	perPeer   = 32
)

// waves holds the entries of the last rounds: waves[0] was read in this one,
// waves[i] has been sent i times.
type waves struct {
	wave [rounds][]Entry

	// newest says in which round a key's counter was read last; an entry in a
	// later wave is out of date if that was not the round of its wave.
	newest map[limit.Key]uint32
}

func newWaves() waves { return waves{newest: map[limit.Key]uint32{}} }

// shift ages every wave by one round and empties the first.
func (w *waves) shift(round uint32) {
	last := w.wave[rounds-1]
	for i := range last {
		if w.newest[last[i].Key] == round-rounds {
			delete(w.newest, last[i].Key)
		}
	}
	copy(w.wave[1:], w.wave[:rounds-1])
	w.wave[0] = last[:0]
}

// spread sends to every peer what changed, and what changed in the two rounds
// before, as far as the budget goes: new values first. With nothing to say it
// still shows itself once per pulse.
func (n *Node) spread(now limit.Instant, out Outbox) {
	n.begin(kindCounts)
	perFrame := n.out.room()
	frames := max(1, min(perPeer, maxFrames/max(1, len(n.peers))))

	w := &n.queue
	w.shift(n.round)
	n.counters.Changed(now, frames*perFrame, func(e Entry) {
		w.wave[0] = append(w.wave[0], e)
		w.newest[e.Key] = n.round
	})
	for age := range w.wave {
		for i := range w.wave[age] {
			e := &w.wave[age][i]
			if w.newest[e.Key] != n.round-uint32(age) {
				continue
			}
			if n.out.room() == 0 {
				n.flush(now, out)
				if frames--; frames == 0 {
					return
				}
				n.begin(kindCounts)
			}
			n.out.entry(e)
		}
	}
	if n.out.entries > 0 || now.Sub(n.lastSent) >= pulse {
		n.flush(now, out)
	}
}

// begin starts a frame in n.out.
func (n *Node) begin(k kind) {
	n.out.begin(&frame{kind: k, settled: n.settled, node: []byte(n.name), life: n.life, seed: n.seed, round: n.round})
}

// flush sends the frame in n.out to every peer.
func (n *Node) flush(now limit.Instant, out Outbox) {
	n.lastSent = now
	for _, p := range n.peers {
		if !p.skip() {
			n.send(p, out)
		}
	}
}

func (n *Node) send(p *peer, out Outbox) {
	n.stats.Sent++
	n.stats.SentBytes += uint64(len(n.out.buf))
	out.Send(p.address, n.out.buf)
}
