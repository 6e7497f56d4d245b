package engine_test

import (
	"math"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// exactly has all limits of a snapshot shared exactly.
func exactly(s *policy.Snapshot) *policy.Snapshot {
	for i := range s.Meters {
		s.Meters[i].Sharing = policy.Exact
	}
	return s
}

// patient is a request that waits as one of a front end does.
type patient struct {
	*pool
	engine *engine.Engine
	req    *request.Request
	ans    request.Answer
	since  limit.Instant
	waits  bool
	then   func(*request.Answer, limit.Span)
}

// Wake implements lease.Waiter.
func (p *patient) Wake() {
	if p.waits {
		p.waits = false
		p.At(p.Now().Add(20_000), func() { p.try(p) })
	}
}

func (p *patient) try(w lease.Waiter) {
	if w == nil {
		p.engine.Decide(p.Now(), p.req, &p.ans)
	} else if p.engine.DecideOrWait(p.Now(), p.req, &p.ans, w) {
		p.waits = true
		return
	}
	if p.then != nil {
		p.then(&p.ans, p.Now().Sub(p.since))
		p.then = nil
	}
}

// askExactly asks as a front end does, and calls then with the answer.
func (p *pool) askExactly(node int, req *request.Request, then func(*request.Answer, limit.Span)) {
	r := &patient{pool: p, engine: p.nodes[node], req: req, since: p.Now(), then: then}
	r.try(r)
	p.At(p.Now().Add(lease.Patience), func() {
		if r.then != nil {
			r.waits = false
			r.try(nil)
		}
	})
}

// history is what was admitted of one counter.
type history struct {
	params      decide.Params
	state       decide.State
	admitted    int
	over        limit.Amount // the most that was ever above one exact limiter
	waited, all int
}

func (h *history) take(now limit.Instant, n limit.Amount) {
	h.admitted += int(n)
	h.state = h.params.Debit(h.state, now, n)
	h.over = max(h.over, h.params.Used(h.state, now)-h.params.Burst())
}

// offerExactly has requests arrive evenly for d, each at the node that where says.
func (p *pool) offerExactly(h *history, req *request.Request, perSecond float64, d limit.Span, where func(i int) int) {
	gap := float64(limit.Second) / perSecond
	for i := range int(float64(d) / gap) {
		p.At(p.Now().Add(limit.Span(gap*(float64(i)+p.Rand().Float64()/2))), func() {
			p.askExactly(where(i), req, func(ans *request.Answer, took limit.Span) {
				h.all++
				if took > 0 {
					h.waited++
				}
				if ans.Outcome == request.Admitted {
					h.take(p.Now(), 1)
				}
			})
		})
	}
	p.Run(d + lease.Patience)
}

// Never one request above the limit, at least 98 % of it, and a busy client is decided
// where it asks.
func TestExactIsExact(t *testing.T) {
	for _, c := range []struct {
		nodes    int
		requests int64
		burst    int64
		over     float64
	}{{3, 100, 100, 5}, {10, 1000, 1000, 10}, {10, 1000, 1000, 2}, {3, 20, 20, 5}, {1, 100, 100, 5}} {
		p := newPool(t, 1, c.nodes, lan, exactly(compile(t, perClient("client", c.requests, "1s", c.burst))))
		p.Run(limit.Second)
		params, err := decide.TokenBucket(limit.Amount(c.requests), limit.Second, limit.Amount(c.burst))
		if err != nil {
			t.Fatal(err)
		}
		h := &history{params: params}
		d := 10 * limit.Second
		p.offerExactly(h, client("a"), float64(c.requests)*c.over, d, func(int) int { return p.Rand().IntN(c.nodes) })
		exact := float64(c.burst) + 10*float64(c.requests)
		t.Logf("%d nodes, %d/s at %gx: %.2f %%, %.2f %% waited", c.nodes, c.requests, c.over, 100*float64(h.admitted)/exact, 100*float64(h.waited)/float64(h.all))
		if h.over > 0 {
			t.Errorf("%d nodes, %d/s at %gx: %d above the limit", c.nodes, c.requests, c.over, h.over)
		}
		if got := float64(h.admitted) / exact; got < .98 || math.IsNaN(got) {
			t.Errorf("%d nodes, %d/s at %gx: %.1f %% of the limit, want 98", c.nodes, c.requests, c.over, 100*got)
		}
		if part := float64(h.waited) / float64(h.all); c.over == 10 && part > .1 {
			t.Errorf("%.1f %% of the requests waited, want less than 10 %%", 100*part)
		}
	}
}

// One node knows what is left of a client and what it has lent; all know which one that
// is. What was lent comes back once nobody asks for it.
func TestWhoKeepsTheCount(t *testing.T) {
	p := newPool(t, 1, 3, lan, exactly(compile(t, perClient("client", 100, "24h", 100))))
	p.Run(limit.Second)
	by := func() engine.Keeping {
		t.Helper()
		var keeps engine.Keeping
		for i, e := range p.nodes {
			k := e.Kept(p.Now(), named("client"), []string{"a"})
			if k.By == "" || keeps.By != "" && k.By != keeps.By {
				t.Fatalf("node %d says that %q keeps the count, and another one %q", i, k.By, keeps.By)
			}
			keeps.By, keeps.Lent = k.By, keeps.Lent+k.Lent
		}
		return keeps
	}
	if k := by(); k.Lent != 0 {
		t.Errorf("%d are lent of a counter that nobody has used", k.Lent)
	}
	params, err := decide.TokenBucket(100, 24*limit.Hour, 100)
	if err != nil {
		t.Fatal(err)
	}
	p.offerExactly(&history{params: params}, client("a"), 100, limit.Second/2, func(i int) int { return i % 3 })
	if k := by(); k.Lent == 0 {
		t.Error("nothing is lent to nodes that are asked for more")
	}
	p.Run(30 * limit.Second)
	if k := by(); k.Lent != 0 {
		t.Errorf("%d are lent, and nobody has come for half a minute", k.Lent)
	}
	if k := p.nodes[0].Kept(p.Now(), named("other"), []string{"a"}); k != (engine.Keeping{}) {
		t.Errorf("of a limit that there is not: %+v", k)
	}
}
