package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// This file is all that the harness knows of the engine.

// agreement is how far the levels of two nodes may be apart when a pool has been
// quiet, as a part of the burst. What a node may take without a word is not known
// to the others.
const agreement = .03

// Engine is the project's own engine, sharing by gossip.
func Engine(s *Scenario) (System, error) { return newEngines(s, policy.Gossip) }

// Exact is the project's own engine, sharing exactly.
func Exact(s *Scenario) (System, error) {
	e, err := newEngines(s, policy.Exact)
	if err != nil {
		return nil, err
	}
	return exactEngines{e}, nil
}

func newEngines(s *Scenario, sharing policy.Sharing) (*engines, error) {
	p := policy.Policy{
		Namespace: "sim", Name: "sim", Domain: "sim", Generation: 1,
		Limits: []policy.Limit{{
			Name: "limit", Key: []string{"request.headers['x-api-key']"}, Algorithm: s.Limit.algorithm(),
			Rate: policy.Rate{Requests: s.Limit.Requests, Per: per(s.Limit.Per)}, Burst: s.Limit.Burst,
			Sharing: sharing.String(),
		}},
	}
	snapshot, err := policy.Compile(&policy.Document{Version: policy.Version, Pool: "sim", Policies: []policy.Policy{p}})
	if err != nil {
		return nil, err
	}
	e := &engines{snapshot: snapshot}
	for key := range s.Keys {
		e.asks = append(e.asks, ask(key, s.Cost))
		e.looks = append(e.looks, ask(key, 0))
	}
	return e, nil
}

// engines are the nodes of one run; they share what none of them changes.
type engines struct {
	snapshot *policy.Snapshot
	asks     []*request.Request // by key
	looks    []*request.Request
}

// ask is a request for a number of tokens of a key.
func ask(key int, cost limit.Amount) *request.Request {
	return &request.Request{
		Domain: "sim", Cost: cost,
		HTTP: &request.HTTP{Method: "GET", Path: "/", Headers: client(fmt.Sprint("client-", key))},
	}
}

// client is a Lookup that has the same value for every name.
type client string

func (c client) Get(string) string { return string(c) }

// per writes a span as a policy does.
func per(d limit.Span) string {
	if d%limit.Second == 0 {
		return d.Duration().String()
	}
	return fmt.Sprintf("%dms", d.Duration()/time.Millisecond)
}

func (*engines) MaxNodes() int { return 1000 }

func (*engines) Lawful() bool { return true }

func (e *engines) Boot(id Identity) (Limiter, error) {
	node, err := engine.New(engine.Options{
		Node: limit.NodeID(id.Name), MaxKeys: max(1024, 4*len(e.asks)),
		Seed: match.Seed(id.Secret), Born: id.Born, Wake: id.Wake, Hurry: id.Wake,
	})
	if err != nil {
		return nil, err
	}
	node.SetPolicy(id.Born, e.snapshot)
	return &engineNode{engines: e, engine: node, name: id.Name, out: id.Out}, nil
}

type engineNode struct {
	*engines
	engine *engine.Engine
	name   string
	out    sim.Outbox
	answer request.Answer
}

func (n *engineNode) Decide(now limit.Instant, key int) bool {
	n.engine.Decide(now, n.asks[key], &n.answer)
	return n.answer.Outcome == request.Admitted
}

func (n *engineNode) Remaining(now limit.Instant, key int) limit.Amount {
	n.engine.Decide(now, n.looks[key], &n.answer)
	return n.answer.Verdict.Remaining
}

func (n *engineNode) Tick(now limit.Instant) limit.Span { return n.engine.Tick(now, n.out) }

func (n *engineNode) Receive(now limit.Instant, from string, frame []byte) error {
	err := n.engine.Receive(now, from, frame, n.out)
	n.engine.Flush(now, n.out)
	if errors.Is(err, gossip.ErrStranger) {
		return nil // it knows this node before this node knows it
	}
	return err
}

func (n *engineNode) SetView(now limit.Instant, v View) {
	view := gossip.View{Expected: v.Expected}
	for _, m := range v.Members {
		if m.Name == n.name {
			view.Leaving = m.State == Leaving
			continue
		}
		view.Members = append(view.Members, gossip.Member{Name: limit.NodeID(m.Name), Address: m.Address, State: stateOf[m.State]})
	}
	n.engine.SetView(now, view)
}

var stateOf = map[State]gossip.MemberState{Alive: gossip.Alive, Leaving: gossip.Leaving, Unreachable: gossip.Unreachable}

func (n *engineNode) Ready() bool { return n.engine.Joined() }

// Stop sends what has not been shared yet.
func (n *engineNode) Stop(now limit.Instant) { n.Tick(now) }

func (n *engineNode) Entries() uint64 { return n.engine.Report().Gossip.Entries }

// IsHome: the scenarios that ask have one key.
func (n *engineNode) IsHome(int) bool { return n.engine.Report().Gossip.Homes > 0 }
