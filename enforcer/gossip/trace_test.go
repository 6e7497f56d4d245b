package gossip_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// A run is a function of its script and its seed: every frame of it, to the byte.
func TestTheSameRunSendsTheSameFrames(t *testing.T) {
	run := func(seed uint64) (frames int, sum [32]byte) {
		var trace bytes.Buffer
		p := startPool(t, seed, 4)
		p.trace = &trace
		p.Link = func(string, string) sim.Link { return sim.Link{Loss: .05, Repeat: .05, Max: 10 * limit.Millisecond} }
		p.join()
		for i := range 400 {
			p.take(i%3, key(uint64(i%7)), hot, 5+i%11)
			p.take(i*7%3, key(uint64(i)), daily, i%300)
			p.Run(limit.Millisecond)
			switch i {
			case 100:
				p.leaves[3] = true
				p.announce()
			case 200:
				p.kill(3)
				p.leaves[3] = false
				p.announce()
			case 300:
				p.boot(3, p.Now())
				p.announce()
			}
		}
		return bytes.Count(trace.Bytes(), []byte("\n")), sha256.Sum256(trace.Bytes())
	}
	frames, first := run(7)
	again, second := run(7)
	if first != second {
		t.Errorf("%d frames, and %d others with the same seed", frames, again)
	}
	if _, other := run(8); other == first {
		t.Error("another seed made the same run")
	}
	if frames < 500 {
		t.Errorf("%d frames only", frames)
	}
}

// What is far from its limit costs nothing, and what is near it is bounded.
func TestWhatSharingCosts(t *testing.T) {
	for _, c := range []struct {
		name string
		keys int
		each float64 // tokens a second, over all nodes
		most float64 // entries a second and node, for each counter
	}{
		{"a counter that is little used", 20, 50, 0},
		{"a counter that one node uses, below its limit", 20, 500, 1},
		{"a counter at its limit", 2, 5000, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 1, 3)
			gap := limit.Span(float64(limit.Second) / c.each)
			for k := range uint64(c.keys) {
				n := uint64(0)
				p.Every(p.Now().Add(limit.Span(k)*limit.Millisecond), gap, func() bool {
					node := int(k % 3)
					if c.each > 1000 {
						node = int(n % 3)
					}
					n++
					p.take(node, key(k), hot, 1)
					return true
				})
			}
			p.Run(2 * limit.Second)
			before := p.entries()
			p.Run(3 * limit.Second)
			got := float64(p.entries()-before) / 3 / 3 / float64(c.keys)
			if got > c.most {
				t.Errorf("each node sends %.2f entries a second for each counter, want at most %v", got, c.most)
			}
		})
	}
}

// entries is how many entries were sent in all.
func (p *pool) entries() (n uint64) {
	for _, node := range p.nodes {
		s := node.Stats()
		n += s.Reports + s.States
	}
	return n
}

func TestHowSoonANodeWantsToBeCalled(t *testing.T) {
	n := newJoiner(t, start)
	now := start.Add(limit.Second)
	if next := n.Tick(now, &n.out); next != gossip.Interval {
		t.Errorf("with nothing to do it is to be called in %v, want %v", next.Duration(), gossip.Interval.Duration())
	}
	n.counters.take(now, keyFor("b"), daily, 100)
	if next := n.Tick(now, &n.out); next != gossip.Urgent {
		t.Errorf("after requests it is to be called in %v, want %v", next.Duration(), gossip.Urgent.Duration())
	}
}

func TestStatsAddUp(t *testing.T) {
	p := newPool(t, 1, 3)
	k := p.keyAt(0, 1)
	p.use(k, daily, 10, 500*limit.Millisecond, 1, 2)
	sent, received, bytes := uint64(0), uint64(0), uint64(0)
	p.Run(limit.Second)
	for _, n := range p.nodes {
		s := n.Stats()
		sent, received, bytes = sent+s.Sent, received+s.Frames, bytes+s.SentBytes
		if s.Malformed+s.Strange+s.Clashing+s.Misplaced > 0 || len(n.errs) > 0 {
			t.Errorf("%+v, %v", s, n.errs)
		}
	}
	if sent != p.Frames || bytes != p.Bytes || received > sent || received+3 < sent {
		t.Errorf("%d frames of %d bytes were sent and %d received, the network saw %d of %d", sent, bytes, received, p.Frames, p.Bytes)
	}
}

// What is admitted beyond the limit is counted at the home: of a flash on all
// nodes at once all but one burst, and nothing in a steady overload.
func TestWhatIsAdmittedTooMuchIsCounted(t *testing.T) {
	p := newPool(t, 1, 3)
	k := p.keyAt(0, 1)
	over := func() float64 {
		if elsewhere := p.nodes[1].Stats().Over[hot] + p.nodes[2].Stats().Over[hot]; elsewhere > 0 {
			t.Errorf("%v are counted at nodes that are not the home", elsewhere)
		}
		return p.nodes[0].Stats().Over[hot]
	}
	for i := range 3 {
		p.take(i, k, hot, 2000)
	}
	p.Run(100 * limit.Millisecond)
	if got := over(); got < 1900 || got > 2000 {
		t.Errorf("%v tokens too many are counted of a flash of three bursts, want about 2000", got)
	}
	p.use(k, hot, 2, 4*limit.Second, 0, 1, 2) // the debt is paid back
	before := over()
	p.use(k, hot, 2, 3*limit.Second, 0, 1, 2)
	if got := over() - before; got > 30 {
		t.Errorf("%v tokens too many are counted in 3 s of a steady overload of 1000 a second, want at most 30", got)
	}
}
