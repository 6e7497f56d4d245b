package share_test

import (
	"math"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	start = limit.Instant(1_760_000_000_000_000_000)
	delay = 8 * limit.Millisecond
	tick  = 5 * limit.Millisecond

	// noticed is after what time a loss on the network is noticed.
	noticed = 100 * limit.Millisecond
)

func bucket(requests limit.Amount, per limit.Span, burst limit.Amount) decide.Params {
	return must(decide.TokenBucket(requests, per, burst))
}

func must(p decide.Params, err error) decide.Params {
	if err != nil {
		panic(err)
	}
	return p
}

// pool is one counter that several nodes share by way of a home, in virtual time,
// with a network between them. The home is a node of its own that decides nothing.
type pool struct {
	*sim.World
	params decide.Params
	rule   share.Rule
	home   *share.Home
	nodes  []*node
	seq    uint32

	// link says what the network does to what a node tells and is told.
	link func(node int) sim.Link

	reports, states int
}

// node is one node's end of the counter, held as package account holds it.
type node struct {
	state decide.State
	local *share.Local // nil: nobody was told of the counter
	era   uint16

	// Of a counter without a Local: tokens taken, and what is left of them.
	quiet  int64
	untold float32
	toldAt limit.Instant

	taken int64 // in all
	seq   uint32
}

func newPool(p decide.Params, nodes int, cautious bool, seed uint64) *pool {
	c := &pool{World: sim.New(seed, start), params: p, rule: share.NewRule(&p, nodes, delay, cautious)}
	c.home = share.NewHome(&c.rule, start, start)
	for range nodes {
		c.nodes = append(c.nodes, &node{})
	}
	return c
}

// drive has nodes and home do their work once a tick from now on.
func (c *pool) drive() *pool {
	for i := range c.nodes {
		c.Every(c.Now().Add(limit.Span(c.Rand().Int64N(int64(tick)))), tick, func() bool {
			c.tell(i)
			return true
		})
	}
	c.Every(c.Now(), tick, func() bool {
		c.check()
		return true
	})
	return c
}

// counter returns a node's end as the protocol sees it.
func (c *pool) counter(n *node) *share.Counter {
	return &share.Counter{Params: &c.params, Rule: &c.rule, State: &n.state, Local: n.local}
}

// ask decides one request on node i.
func (c *pool) ask(i int, cost limit.Amount) bool {
	n, now := c.nodes[i], c.Now()
	if n.local == nil {
		return c.askAlone(n, cost)
	}
	c.counter(n).Settle(now)
	ok := n.local.Admits(&c.params, &c.rule, n.state, now, cost)
	if ok {
		n.state = c.params.Move(n.state, now, cost)
		n.taken += int64(cost)
	}
	n.local.Count(&c.params, &c.rule, now, cost, ok)
	return ok
}

// askAlone decides on a counter that has no Local, and gives it one when the home
// has to hear of it.
func (c *pool) askAlone(n *node, cost limit.Amount) bool {
	now := c.Now()
	if !c.rule.Flash(&c.params, n.state, now, cost) {
		return false
	}
	next, ok := c.params.Take(n.state, now, cost)
	if !ok {
		return false
	}
	n.state = next
	n.taken += int64(cost)
	if n.untold = c.rule.Leak(n.untold, now.Sub(n.toldAt)); n.untold == 0 {
		n.quiet = 0
	}
	n.untold, n.toldAt, n.quiet = n.untold+float32(cost), now, max(0, n.quiet+int64(cost))
	if c.rule.MustTell(n.untold) {
		c.share(n)
		n.local.First(now, cost)
	}
	return true
}

// share gives a node's counter a Local.
func (c *pool) share(n *node) {
	n.era++
	n.local = &share.Local{}
	n.local.Start(&c.rule, c.Now(), n.state, n.quiet, float64(n.untold), n.era)
	n.quiet, n.untold = 0, 0
}

// forget takes a node's Local away.
func (c *pool) forget(n *node) {
	taken, untold := n.local.Untold()
	n.local, n.quiet, n.untold, n.toldAt = nil, taken, float32(untold), c.Now()
}

// tell has node i report, if its home should know something.
func (c *pool) tell(i int) {
	n := c.nodes[i]
	if n.local == nil {
		return
	}
	counter := c.counter(n)
	counter.Settle(c.Now())
	if counter.Due(c.Now()) {
		c.report(i, counter.Report(c.Now()))
	}
	if n.local.Idle(c.Now()) {
		c.forget(n)
	}
}

// report puts a report on the network. One that is lost is noticed, as the
// protocol does.
func (c *pool) report(i int, rep share.Report) {
	c.reports++
	c.seq++
	from := share.Sender{Node: int32(i), Life: 1, Seq: c.seq}
	arrives := c.send(i, func() { c.home.Apply(&c.params, &c.rule, from, &rep, c.Now()) })
	if l := c.nodes[i].local; !arrives && l != nil {
		c.At(c.Now().Add(noticed), l.Again)
	}
}

// check has the home tell whom it has to.
func (c *pool) check() {
	c.home.Check(&c.params, &c.rule, c.Now(), share.Pool{Missing: limit.Second}, -1, -1, c)
}

// Tell implements share.Audience.
func (c *pool) Tell(i int32, s *share.State) {
	c.states++
	c.seq++
	told, seq := *s, c.seq
	if !c.send(int(i), func() { c.hear(int(i), &told, seq) }) {
		c.At(c.Now().Add(noticed), func() { c.home.Doubt(i) })
	}
}

// TellRest implements share.Audience.
func (c *pool) TellRest(s *share.State, heard func(int32) bool) {
	for i := range int32(len(c.nodes)) {
		if !heard(i) {
			c.Tell(i, s)
		}
	}
}

// hear has node i take what its home told.
func (c *pool) hear(i int, s *share.State, seq uint32) {
	n := c.nodes[i]
	if int32(seq-n.seq) < 0 {
		return
	}
	if n.local == nil {
		c.share(n)
	}
	if s.Line && s.Era != n.local.Era {
		return
	}
	n.seq = seq
	counter := c.counter(n)
	counter.Settle(c.Now())
	counter.Hear(c.Now(), s)
}

// send has f run when and as often as the network delivers it, and says whether
// it does at all.
func (c *pool) send(i int, f func()) (arrives bool) {
	var link sim.Link
	if c.link != nil {
		link = c.link(i)
	}
	for {
		if c.Rand().Float64() >= link.Loss {
			d := link.Min
			if link.Max > link.Min {
				d += limit.Span(c.Rand().Int64N(int64(link.Max - link.Min)))
			}
			arrives = true
			c.At(c.Now().Add(d), f)
		}
		if c.Rand().Float64() >= link.Repeat {
			return arrives
		}
	}
}

// offer has requests arrive evenly at node i, perSecond of them, for d, and returns
// a count of what is admitted that is complete once d is over.
func (c *pool) offer(i int, perSecond float64, d limit.Span, cost limit.Amount) *tally {
	got := &tally{}
	gap := float64(limit.Second) / perSecond
	phase := c.Rand().Float64()
	for k := range int(math.Round(float64(d) / gap)) {
		c.At(c.Now().Add(limit.Span(gap*(float64(k)+phase))), func() {
			got.asked++
			if c.ask(i, cost) {
				got.admitted++
			}
		})
	}
	return got
}

type tally struct{ asked, admitted int }

func (t *tally) ratio() float64 { return float64(t.admitted) / float64(t.asked) }

// level is what node i believes is left now.
func (c *pool) level(i int) float64 {
	n := c.nodes[i]
	if n.local == nil {
		return c.params.Level(n.state, c.Now())
	}
	c.counter(n).Settle(c.Now())
	return n.local.Level(&c.params, n.state, c.Now())
}

func (c *pool) homeLevel() float64 { return c.home.Level(&c.params, &c.rule, c.Now()) }

// near reports a value that is off by more than allowed.
func near(t testing.TB, what string, got, want, allowed float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > allowed {
		t.Errorf("%s is %.3f, want %.3f ± %.3g", what, got, want, allowed)
	}
}
