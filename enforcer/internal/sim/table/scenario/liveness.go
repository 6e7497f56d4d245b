package scenario

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// shortestNews is the least time after which a node learns of a planned change.
const shortestNews = 50 * limit.Millisecond

// detectJitter is by how much nodes differ in when they notice a failure.
const detectJitter = 50 * limit.Millisecond

// belief is what a node thinks of a member: its state, and in which life.
type belief struct {
	state State
	life  uint64
}

// news says that a member's life is in a state.
type news struct {
	of    *member
	life  uint64
	state State
}

// believe takes over news, unless something newer is known.
func (m *member) believe(n news) {
	b := &m.beliefs[n.of.index]
	if n.life >= b.life {
		*b = belief{n.state, n.life}
	}
}

// look gives the node its view of the pool.
func (m *member) look() {
	if m.limiter == nil {
		return
	}
	v := View{}
	for i, b := range m.beliefs {
		o := m.pool.members[i]
		if o.life > 0 && (o.state != Absent || !o.retires) {
			v.Expected++
		}
		if b.state != Absent {
			v.Members = append(v.Members, Member{Name: o.name, Address: o.address, State: b.state})
		}
	}
	m.limiter.SetView(m.node.Now(), v)
}

// delay draws when a node learns of a planned change.
func (p *Pool) delay() limit.Span {
	return shortestNews + limit.Span(p.rand.Int64N(int64(p.scenario.Liveness.News-shortestNews)+1))
}

// soon tells everybody else, each at its own time, of a planned change.
func (p *Pool) soon(n news) {
	for _, m := range p.members {
		if m != n.of && m.limiter != nil {
			m.node.After(p.delay(), func() {
				m.believe(n)
				m.look()
			})
		}
	}
}

// after tells everybody else, after d and a little, what they find out by
// themselves.
func (p *Pool) after(d limit.Span, n news) {
	for _, m := range p.members {
		if m != n.of && m.limiter != nil {
			m.node.After(p.detected(d), func() {
				m.believe(n)
				m.look()
			})
		}
	}
}

func (p *Pool) detected(d limit.Span) limit.Span {
	return d + limit.Span(p.rand.Int64N(int64(detectJitter)+1))
}

// introduce tells a node that starts who is there.
func (p *Pool) introduce(m *member) {
	for _, o := range p.members {
		m.beliefs[o.index] = belief{o.state, o.life}
		if o.state != Absent && p.apart(m, o) {
			m.beliefs[o.index].state = Unreachable
		}
	}
	m.look()
}

// Cut splits the network in groups of nodes; the rest is one more group. The
// nodes notice after a while, unless the cut has ended by then.
func (p *Pool) Cut(groups ...[]int) {
	addresses := make([][]string, len(groups))
	for g, group := range groups {
		for _, i := range group {
			addresses[g] = append(addresses[g], address(i))
		}
	}
	p.Split(addresses...)
	p.notice()
}

// Break loses what one node sends to another. Nobody notices while there is a third
// one that reaches both.
func (p *Pool) Break(from, to int) {
	p.World.Break(address(from), address(to))
	p.notice()
}

// Heal ends every cut; the nodes notice after a while.
func (p *Pool) Heal() {
	p.World.Heal()
	p.notice()
}

// notice has every node find out, after a while, whom it can reach.
func (p *Pool) notice() {
	p.cut++
	cut := p.cut
	for _, m := range p.members {
		if m.limiter == nil {
			continue
		}
		m.node.After(p.detected(p.scenario.Liveness.Detect), func() {
			if p.cut != cut {
				return
			}
			for i, o := range p.members {
				b := &m.beliefs[i]
				switch {
				case o.life != b.life || b.state == Absent || o.state == Absent:
				case p.apart(m, o):
					b.state = Unreachable
				case b.state == Unreachable:
					b.state = o.state
				}
			}
			m.look()
		})
	}
}

// apart says whether two nodes take each other for dead: neither they nor a third one
// have frames pass in both directions.
func (p *Pool) apart(a, b *member) bool {
	near := func(a, b *member) bool { return a.node.Reaches(b.node) && b.node.Reaches(a.node) }
	return !near(a, b) && !slices.ContainsFunc(p.members, func(m *member) bool {
		return m != a && m != b && m.limiter != nil && near(a, m) && near(m, b)
	})
}
