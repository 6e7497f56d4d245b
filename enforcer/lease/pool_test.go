package lease_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const start = limit.Instant(1_000_000 * limit.Second)

// pool is a number of nodes on a simulated network, which all see each other as they
// are.
type pool struct {
	t      testing.TB
	world  *sim.World
	nodes  []*member
	params decide.Params
	life   uint64
	policy lease.OnUnreachable

	history          []admission
	asked, admitted  int
	waited, answered int
	waits            []limit.Span
	apart            map[*member]int // of a split: on which side
}

type admission struct {
	at   limit.Instant
	cost limit.Amount
	key  limit.Key
}

type member struct {
	*pool
	name    string
	number  int32
	life    uint64
	node    *lease.Node
	sim     *sim.Node
	up      bool
	leaving bool
}

func newPool(t testing.TB, seed uint64, nodes int, p decide.Params) *pool {
	w := sim.New(seed, start)
	w.Link = func(string, string) sim.Link {
		return sim.Link{Min: limit.Millisecond / 2, Max: 3 * limit.Millisecond / 2}
	}
	pl := &pool{t: t, world: w, params: p}
	for range nodes {
		pl.join()
	}
	pl.meet()
	return pl
}

func (p *pool) join() *member {
	p.life++
	m := &member{pool: p, name: fmt.Sprintf("node-%d", len(p.nodes)), number: int32(len(p.nodes) + 1), life: p.life, up: true}
	m.sim = p.world.Node(m.name)
	woken := false
	var tick func()
	out := p.world.Outbox(m.name)
	var err error
	m.node, err = lease.New(lease.Options{
		Name: limit.NodeID(m.name), Life: m.life, MaxKeys: 100_000,
		Params: func(limit.Instant, uint64, uint16) *decide.Params { return &p.params },
		Wake: func() {
			if !woken {
				woken = true
				m.sim.After(50_000, tick)
			}
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	var next uint64
	tick = func() {
		woken = false
		next++
		mine := next
		d := m.node.Tick(m.sim.Now(), out)
		m.sim.After(d, func() {
			if mine == next {
				tick()
			}
		})
	}
	p.world.Attach(m.name, func(from string, frame []byte) {
		_ = m.node.Receive(m.sim.Now(), from, frame, out)
	})
	m.sim.After(0, tick)
	p.nodes = append(p.nodes, m)
	return m
}

// meet tells every node who is there.
func (p *pool) meet() {
	for _, m := range p.nodes {
		if m.up {
			m.see()
		}
	}
}

func (m *member) see() {
	view := lease.Pool{Owns: !m.leaving, Parts: 0}
	reached := 1
	for _, o := range m.nodes {
		if !o.up {
			continue
		}
		view.Parts++
		if o == m {
			continue
		}
		reachable := m.apart[o] == m.apart[m]
		if reachable {
			reached++
		}
		view.Peers = append(view.Peers, lease.Peer{
			Name: limit.NodeID(o.name), Number: o.number, Address: o.name, Life: o.life,
			Owns: !o.leaving, Reachable: reachable,
		})
	}
	view.Away = 2*reached <= view.Parts && reached < view.Parts
	m.node.SetPool(m.sim.Now(), view)
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
		r.sim.After(20_000, func() { r.try(r) })
	}
}

func (m *member) request(key uint64, cost limit.Amount) {
	m.asked++
	r := &request{member: m, began: m.sim.Now()}
	r.charge = lease.Charge{ID: id(key), Params: &m.params, Cost: cost, OnUnreachable: m.policy}
	r.try(r)
}

func (r *request) try(w lease.Waiter) {
	if r.sim.Now().Sub(r.began) >= lease.Patience {
		w = nil
	}
	r.node.Take(r.sim.Now(), &r.charge, w)
	switch r.charge.Outcome {
	case lease.Pending:
		if r.pending = true; r.sim.Now() == r.began {
			r.waited++
			r.sim.After(lease.Patience, func() {
				if r.pending {
					r.pending = false
					r.try(nil)
				}
			})
		}
		return
	case lease.Admitted:
		r.admitted += int(r.charge.Cost)
		r.history = append(r.history, admission{r.world.Now(), r.charge.Cost, r.charge.ID.Key})
	}
	r.answered++
	if d := r.sim.Now().Sub(r.began); d > 0 {
		r.waits = append(r.waits, d)
	}
}

// load has requests come evenly: each at the node that where says.
func (p *pool) load(perSecond float64, key func(i int) uint64, where func(i int) int) (stop func()) {
	i, going := 0, true
	p.world.Every(p.world.Now(), limit.Span(float64(limit.Second)/perSecond), func() bool {
		if m := p.nodes[where(i)]; going && m.up {
			m.request(key(i), 1)
		}
		i++
		return going
	})
	return func() { going = false }
}

func oneKey(int) uint64 { return 7 }

// over returns by how many tokens the history was ever above one exact limiter.
func (p *pool) over() (worst limit.Amount) {
	states := map[limit.Key]decide.State{}
	for _, a := range p.history {
		s := p.params.Debit(states[a.key], a.at, a.cost)
		worst = max(worst, p.params.Used(s, a.at)-p.params.Burst())
		states[a.key] = s
	}
	return worst
}

func mustBucket(t testing.TB, requests limit.Amount, per limit.Span, burst limit.Amount) decide.Params {
	t.Helper()
	p, err := decide.TokenBucket(requests, per, burst)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNeverAboveTheLimitAndNearlyAllOfIt(t *testing.T) {
	for _, c := range []struct {
		nodes int
		rate  limit.Amount
		per   limit.Span
		burst limit.Amount
		over  float64
	}{
		{10, 1000, limit.Second, 1000, 10},
		{10, 1000, limit.Second, 100, 10},
		{10, 1000, limit.Second, 1000, 2},
		{10, 1000, limit.Second, 1000, .9},
		{10, 1000, limit.Second, 20, 2},
		{50, 1000, limit.Second, 1000, 10},
		{10, 20, limit.Second, 20, 10},
		{10, 20, limit.Second, 5, 3},
		{10, 5, limit.Minute, 5, 10},
		{50, 5, limit.Minute, 5, 100},
	} {
		p := newPool(t, 1, c.nodes, mustBucket(t, c.rate, c.per, c.burst))
		r := rand.New(rand.NewPCG(1, 2))
		offered := float64(c.rate) / float64(c.per) * 1e9 * c.over
		p.load(offered, oneKey, func(int) int { return r.IntN(c.nodes) })
		d := 20 * limit.Second
		if c.per > limit.Second {
			d = 300 * limit.Second
		}
		p.world.Run(d)
		exact := float64(c.burst) + float64(c.rate)*float64(d)/float64(c.per)
		t.Logf("n=%d %d/%v burst %d at %gx: admitted %.2f %% of min(exact,offered), over %d, waited %.2f %%, frames/s/node %.0f", c.nodes, c.rate, c.per.Duration(), c.burst, c.over,
			100*float64(p.admitted)/min(exact, offered*float64(d)/1e9), p.over(), 100*float64(p.waited)/float64(p.asked), float64(p.world.Frames)/float64(d)*1e9/float64(c.nodes))
		if over := p.over(); over > 0 {
			t.Errorf("%d tokens above the limit", over)
		}
	}
}
