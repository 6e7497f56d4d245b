package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// origin is when the load begins: at the edge of every window up to an hour.
const origin = limit.Instant(472_222 * int64(limit.Hour))

// Pool is the nodes of one run in their World. Its methods are for Faults and for
// scripts; nodes are named by their number, from 0.
type Pool struct {
	*sim.World
	scenario *Scenario
	system   System
	rand     *rand.Rand // of the harness: neither of the network nor of the load
	members  []*member
	source   *source
	cut      int // counts cuts and their ends
	record   recorder
	errs     []error
}

// member is one node, whether or not it is up.
type member struct {
	pool          *Pool
	index         int
	name, address string
	node          *sim.Node

	limiter Limiter // nil while it is down
	life    uint64  // counts its starts
	ticks   uint64  // counts what tickIn was asked for
	state   State   // the truth: Absent while it is down
	serving bool    // requests are sent to it
	retires bool    // it leaves for good
	beliefs []belief

	own             referee // what it may admit alone, by its own clock
	entries         uint64  // received in former lives
	asked, admitted int64   // requests, of all lives and keys
}

// newPool makes the nodes and starts them.
func newPool(s *Scenario, system System, seed uint64) (*Pool, error) {
	p := &Pool{
		World: sim.New(seed, origin.Add(-Lead)), scenario: s, system: system,
		rand: rand.New(rand.NewPCG(seed, 0x9001)),
	}
	p.Link = s.Network.link(p)
	p.source = newSource(p, seed)
	p.record = newRecorder(s)
	for i := range s.Nodes {
		m := &member{pool: p, index: i, name: nodeName(i), address: address(i), beliefs: make([]belief, s.Nodes)}
		m.node = p.Node(m.address)
		m.node.SetClock(limit.Span(p.within(float64(s.Skew))), p.within(s.Drift))
		p.members = append(p.members, m)
	}
	first := p.members[:s.Nodes-s.Later]
	for _, m := range first {
		p.start(m)
	}
	for _, m := range first {
		p.introduce(m)
	}
	return p, errors.Join(p.errs...)
}

// within draws from -most to most.
func (p *Pool) within(most float64) float64 { return most * (2*p.rand.Float64() - 1) }

// nodeName is a to z, and from the 27th on node-26 and so on.
func nodeName(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return fmt.Sprint("node-", i)
}

func address(i int) string { return fmt.Sprintf("10.0.%d.%d:7946", i/256, i%256) }

// fail notes what went wrong; the run then ends with an error.
func (p *Pool) fail(m *member, what string, err error) {
	if len(p.errs) < 10 {
		p.errs = append(p.errs, fmt.Errorf("after %v: node %s: %s: %w", p.Now().Sub(origin).Duration(), m.name, what, err))
	}
}

// Boot starts a node that is not up, as a new process with an old name. Requests
// come to it when it is ready and the others have heard of it.
func (p *Pool) Boot(i int) {
	m := p.members[i]
	if m.limiter != nil {
		return
	}
	p.start(m)
	p.introduce(m)
	p.soon(news{m, m.life, Alive})
}

// start starts the process of a node.
func (p *Pool) start(m *member) {
	m.life++
	m.state, m.retires = Alive, false
	var secret [16]byte
	for at := range secret {
		secret[at] = byte(p.rand.Uint32())
	}
	limiter, err := p.system.Boot(Identity{
		Name: m.name, Address: m.address, Born: m.node.Now(), Secret: secret, Out: p.Outbox(m.address),
		Now: m.node.Now, Wake: func() { m.tickIn(0) },
	})
	if err != nil {
		p.fail(m, "start", err)
		return
	}
	m.limiter = limiter
	m.own = newReferee(p.scenario.Limit, m.node.Now())
	p.Attach(m.address, func(from string, frame []byte) {
		if err := limiter.Receive(m.node.Now(), from, frame); err != nil {
			p.fail(m, "frame from "+from, err)
		}
	})
	m.tickIn(limit.Span(p.rand.Int64N(int64(firstTick))))
	p.serveWhenReady(m)
}

// firstTick is the most that a node waits for its first tick.
const firstTick = 50 * limit.Millisecond

// tickIn has the node's next tick after d, in place of the one that was due.
func (m *member) tickIn(d limit.Span) {
	m.ticks++
	tick, life := m.ticks, m.life
	m.node.After(d, func() {
		if m.ticks == tick && m.life == life && m.limiter != nil {
			m.tickIn(m.limiter.Tick(m.node.Now()))
		}
	})
}

// serveWhenReady sends requests to a node once it says that it is ready, and the
// balancers have heard it.
func (p *Pool) serveWhenReady(m *member) {
	m.node.Every(0, 10*limit.Millisecond, func() bool {
		if !m.limiter.Ready() {
			return true
		}
		m.node.After(p.delay(), func() { p.serve(m, m.state == Alive) })
		return false
	})
}

func (p *Pool) serve(m *member, yes bool) {
	m.serving = yes
	p.source.stale = true
}

// Crash ends a node at once. Its requests go elsewhere; the others notice later.
func (p *Pool) Crash(i int) {
	m := p.members[i]
	if m.limiter == nil {
		return
	}
	p.unplug(m)
	p.after(p.scenario.Liveness.Detect, news{m, m.life, Unreachable})
	p.after(p.scenario.Liveness.Gone, news{m, m.life, Absent})
}

// Leave tells a node to stop: the others learn of it, requests go elsewhere, and
// it ends when it has drained.
func (p *Pool) Leave(i int) {
	m := p.members[i]
	if m.limiter == nil || m.state == Leaving {
		return
	}
	m.state = Leaving
	m.believe(news{m, m.life, Leaving})
	m.look()
	p.soon(news{m, m.life, Leaving})
	life := m.life
	m.node.After(p.delay(), func() { p.serve(m, false) })
	p.At(p.Now().Add(p.scenario.Liveness.Drain), func() {
		if m.life != life || m.limiter == nil {
			return
		}
		m.limiter.Stop(m.node.Now())
		p.unplug(m)
		p.soon(news{m, life, Absent})
	})
}

// Restart is Leave, and a Boot when the node has been down for d.
func (p *Pool) Restart(i int, down limit.Span) {
	p.Leave(i)
	p.At(p.Now().Add(p.scenario.Liveness.Drain+down), func() { p.Boot(i) })
}

// Retire has requests go elsewhere, and is a Leave for good when notice has passed
// since: so a pod ends, of which proxies hear first.
func (p *Pool) Retire(i int, notice limit.Span) {
	m := p.members[i]
	life := m.life
	m.node.After(p.delay(), func() { p.serve(m, false) })
	p.At(p.Now().Add(notice), func() {
		if m.life == life {
			m.retires = true
			p.Leave(i)
		}
	})
}

func (p *Pool) unplug(m *member) {
	m.entries += m.limiter.Entries()
	m.limiter, m.state = nil, Absent
	p.Attach(m.address, nil)
	p.serve(m, false)
}

// Pause stalls a node; what is sent to it waits.
func (p *Pool) Pause(i int, d limit.Span) { p.members[i].node.Pause(d) }

// Home returns the rendezvous peer of a key, or node 0 when the algorithm has
// none.
func (p *Pool) Home(key int) int {
	for _, m := range p.members {
		if m.limiter != nil && m.limiter.IsHome(key) {
			return m.index
		}
	}
	return 0
}

// arrive has a request come to a node: now, or when the node no longer stalls.
func (p *Pool) arrive(m *member, key int) {
	if until, stalls := m.node.Paused(); stalls {
		begun := p.Now()
		p.At(until, func() {
			if m.limiter != nil {
				p.decide(m, key, begun)
			}
		})
		return
	}
	p.decide(m, key, p.Now())
}

// decide has a node decide a request that came at some instant.
func (p *Pool) decide(m *member, key int, came limit.Instant) {
	if patient, ok := m.limiter.(Patient); ok {
		patient.Ask(key, m.node.After, func(admitted bool) { p.decided(m, key, came, admitted) })
		return
	}
	p.decided(m, key, came, m.limiter.Decide(m.node.Now(), key))
}

// decided notes what a node answered, and looks after the law that no node admits
// more than the whole limit.
func (p *Pool) decided(m *member, key int, came limit.Instant, admitted bool) {
	noted := uint64(m.index)<<1 | uint64(key)<<32
	m.asked++
	if admitted {
		m.admitted++
		noted |= 1
	}
	p.Note(noted)
	if key != 0 {
		return
	}
	cost := int64(p.scenario.Cost)
	p.record.request(m.index, came, p.Now(), cost, admitted)
	if admitted && p.system.Lawful() {
		if over := m.own.excess(m.node.Now(), cost); over > tolerance {
			p.fail(m, "law", fmt.Errorf("admitted %.3f tokens more than one node may alone", over))
		}
	}
}

// Levels asks every node, at once, how much it would still admit of a key; -1
// stands for a node that is down.
func (p *Pool) Levels(key int) []limit.Amount {
	levels := make([]limit.Amount, len(p.members))
	for i, m := range p.members {
		levels[i] = -1
		if m.limiter != nil {
			levels[i] = m.limiter.Remaining(m.node.Now(), key)
		}
	}
	return levels
}

// link makes what the World asks of a network.
func (n *Network) link(p *Pool) func(from, to string) sim.Link {
	near := sim.Link{Loss: n.Loss, Repeat: n.Repeat, Min: n.Min, Max: n.Max}
	far := near
	far.Min, far.Max = n.ZoneMin, n.ZoneMax
	zone := map[string]int{}
	for i := range p.scenario.Nodes {
		zone[address(i)] = i * max(1, n.Zones) / p.scenario.Nodes
	}
	return func(from, to string) sim.Link {
		l := near
		if n.Zones > 1 && zone[from] != zone[to] {
			l = far
		}
		if n.Stall > 0 && p.Rand().Float64() < n.Stall {
			late := 50*limit.Millisecond + limit.Span(p.Rand().Int64N(int64(200*limit.Millisecond)))
			l.Min, l.Max = l.Min+late, l.Max+late
		}
		return l
	}
}
