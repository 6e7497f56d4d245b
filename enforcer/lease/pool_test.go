package lease_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	start = limit.Instant(1_000_000 * limit.Second)
	ms    = limit.Millisecond
	sec   = limit.Second

	// detection is how long a pool takes to notice that a node is gone or cannot be
	// reached.
	detection = sec
)

// pool is a number of nodes on a simulated network.
type pool struct {
	t      testing.TB
	world  *sim.World
	nodes  []*member
	params decide.Params
	policy lease.OnUnreachable
	keys   int // that each node remembers
	life   uint64

	// lag is how much later than others a node may learn that the pool changed.
	lag limit.Span

	history
	waited int // requests that had to
}

// member is one start of a node.
type member struct {
	*pool
	name    string
	number  int32
	life    uint64
	node    *lease.Node
	sim     *sim.Node
	up      bool
	ready   bool // it knows the pool, and so gets requests
	leaving bool
	woken   int // how often
	side    int // of a split
}

// newPool has so many nodes that know each other for a second.
func newPool(t testing.TB, seed uint64, nodes int, p decide.Params) *pool {
	if raceEnabled && nodes > 1 { // make test runs these without it, too
		t.Skip("a simulated pool is one goroutine; it takes ten times as long with the race detector")
	}
	w := sim.New(seed, start)
	w.Link = func(string, string) sim.Link { return sim.Link{Min: ms / 2, Max: 3 * ms / 2} }
	pl := &pool{t: t, world: w, params: p, keys: 1_000_000}
	for range nodes {
		pl.join()
	}
	pl.meet()
	w.Run(sec)
	return pl
}

func (p *pool) join() *member {
	p.life++
	m := &member{pool: p, name: fmt.Sprint("node-", len(p.nodes)), number: int32(len(p.nodes) + 1), life: p.life, up: true}
	m.sim = p.world.Node(m.name)
	woken, hurried, next := false, false, uint64(0)
	out := p.world.Outbox(m.name)
	hurry := func() {
		if !hurried {
			hurried = true
			m.sim.After(ms/50, func() { hurried = false; m.node.Flush(m.sim.Now(), out) })
		}
	}
	var tick func()
	tick = func() {
		woken = false
		next++
		mine := next
		m.sim.After(m.node.Tick(m.sim.Now(), out), func() {
			if mine == next {
				tick()
			}
		})
	}
	var err error
	m.node, err = lease.New(lease.Options{
		Name: limit.NodeID(m.name), Life: m.life, MaxKeys: p.keys,
		Params: func(limit.Instant, uint64, uint16) *decide.Params { return &p.params },
		Wake: func() {
			m.woken++
			if !woken {
				woken = true
				m.sim.After(ms/20, tick)
			}
		},
		Hurry: hurry,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.world.Attach(m.name, func(from string, frame []byte) {
		_ = m.node.Receive(m.sim.Now(), from, frame, out) // a stranger's is refused
		hurry()
	})
	m.sim.After(0, tick)
	p.nodes = append(p.nodes, m)
	return m
}

// meet has every node learn who is there, at most lag from now.
func (p *pool) meet() {
	for _, m := range p.nodes {
		if p.lag == 0 {
			m.see()
		} else if m.up {
			m.sim.After(limit.Span(p.world.Rand().Int64N(int64(p.lag))), m.see)
		}
	}
}

// see tells a node who is there now.
func (m *member) see() {
	if !m.up {
		return
	}
	view := lease.Pool{Owns: !m.leaving, Tag: 7}
	reached := 0
	for _, o := range m.nodes {
		if !o.up {
			continue
		}
		view.Parts++
		if o.side == m.side {
			reached++
		}
		if o != m {
			view.Peers = append(view.Peers, lease.Peer{
				Name: limit.NodeID(o.name), Number: o.number, Address: o.name, Life: o.life,
				Owns: !o.leaving, Reachable: o.side == m.side,
			})
		}
	}
	view.Away = 2*reached <= view.Parts && reached < view.Parts
	m.ready = true
	m.node.SetPool(m.sim.Now(), view)
}

// crash ends a node at once. The pool notices after a while.
func (m *member) crash() {
	m.up = false
	m.world.Attach(m.name, nil)
	m.world.At(m.world.Now().Add(detection), m.meet)
}

// leave has a node hand over what it owns, and go.
func (m *member) leave() {
	m.leaving = true
	m.meet()
	m.sim.Every(max(m.lag, 1), 10*ms, func() bool {
		if !m.node.Left() {
			return true
		}
		m.up = false
		m.world.Attach(m.name, nil)
		m.meet()
		return false
	})
}

// split cuts the pool in two, the first n nodes and the others.
func (p *pool) split(n int) {
	var one []string
	for i, m := range p.nodes {
		if m.side = 1; i < n {
			m.side = 0
			one = append(one, m.name)
		}
	}
	p.world.Split(one)
	p.world.At(p.world.Now().Add(detection), p.meet)
}

func (p *pool) heal() {
	for _, m := range p.nodes {
		m.side = 0
	}
	p.world.Heal()
	p.world.At(p.world.Now().Add(detection), p.meet)
}

// owner returns the node that owns a key.
func (p *pool) owner(key uint64) *member {
	for _, m := range p.nodes {
		if m.up && m.node.Owns(id(key).Key) {
			return m
		}
	}
	p.t.Fatal("nobody owns the key")
	return nil
}

func (p *pool) alive() []*member {
	return slices.DeleteFunc(slices.Clone(p.nodes), func(m *member) bool { return !m.up })
}

func id(i uint64) share.ID {
	x := (i + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
	return share.ID{Key: limit.Key{Hi: x ^ x>>32, Lo: x * 0x94d049bb133111eb}, Limit: 1}
}

// request is one request; it is its own Waiter.
type request struct {
	*member
	charge  lease.Charge
	began   limit.Instant
	pending bool
}

// Wake implements lease.Waiter.
func (r *request) Wake() {
	if r.pending {
		r.pending = false
		r.sim.After(ms/50, func() { r.try(r) })
	}
}

func (m *member) request(key uint64, cost limit.Amount) {
	m.arrived(m.world.Now(), key, cost)
	r := &request{member: m, began: m.world.Now()}
	r.charge = lease.Charge{ID: id(key), Params: &m.params, Cost: cost, OnUnreachable: m.policy}
	r.try(r)
}

func (r *request) try(w lease.Waiter) {
	now := r.world.Now()
	if now.Sub(r.began) >= lease.Patience {
		w = nil
	}
	r.node.Take(r.sim.Now(), &r.charge, w)
	switch r.charge.Outcome {
	case lease.Pending:
		if r.pending = true; now == r.began {
			r.waited++
			r.sim.After(lease.Patience, func() {
				if r.pending {
					r.pending = false
					r.try(nil)
				}
			})
		}
	case lease.Admitted:
		r.admit(admission{began: r.began, at: now, cost: r.charge.Cost, key: r.charge.ID.Key, node: r.number})
		r.world.Note(uint64(r.number))
	}
}

// load has requests come evenly, each where and for which key it is said.
func (p *pool) load(perSecond float64, key func(i int) uint64, where func(i int) *member) (stop func()) {
	i, going := 0, true
	p.world.Every(p.world.Now(), limit.Span(float64(sec)/perSecond), func() bool {
		if m := where(i); going && m.up {
			m.request(key(i), 1)
		}
		i++
		return going
	})
	return func() { going = false }
}

func oneKey(int) uint64 { return 7 }

// anywhere has requests come to any node that is ready for them.
func (p *pool) anywhere(int) *member {
	for {
		if m := p.nodes[p.world.Rand().IntN(len(p.nodes))]; m.up && m.ready {
			return m
		}
	}
}

func bucket(requests limit.Amount, per limit.Span, burst limit.Amount) decide.Params {
	p, err := decide.TokenBucket(requests, per, burst)
	if err != nil {
		panic(err)
	}
	return p
}
