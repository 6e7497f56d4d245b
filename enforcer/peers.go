package enforcer

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/journal"
	"github.com/sluice-dev/sluice/enforcer/internal/membership"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// gossipPort is the name of the Service's port that gossip goes to.
const gossipPort = "gossip"

// peersWait is how long an enforcer waits to be told where its peers are, before
// it works without any for the time being.
const peersWait = 3 * time.Second

// peers says where the other enforcers are to be expected: a discovery.Source
// that begins with those of the last run, if they were kept.
type peers struct {
	source  discovery.Source // nil: there are none
	journal *journal.Journal // nil keeps nothing
	log     *slog.Logger

	// told is given, once, how many enforcers the source expects at least, or 0 when
	// it has told nothing for peersWait.
	once sync.Once
	told chan int
}

func newPeers(log *slog.Logger) *peers { return &peers{log: log, told: make(chan int, 1)} }

// Watch implements discovery.Source.
func (p *peers) Watch(ctx context.Context, changed func([]discovery.Endpoint)) error {
	saved := p.load()
	if saved != nil {
		changed(saved)
	}
	alone := time.AfterFunc(peersWait, func() {
		p.log.Warn("nobody has told who the peers are; working with those that are known for now", "known", len(saved))
		p.tell(nil)
	})
	defer alone.Stop()
	return p.source.Watch(ctx, func(members []discovery.Endpoint) {
		alone.Stop()
		p.log.Info("peers changed", "peers", gossipAddresses(members))
		changed(members)
		p.tell(members)
		p.save(members)
	})
}

func (p *peers) tell(members []discovery.Endpoint) {
	p.once.Do(func() {
		serving := 0
		for _, m := range members {
			if m.Serving {
				serving++
			}
		}
		p.told <- serving
	})
}

// gossipAddresses returns where the members take gossip.
func gossipAddresses(members []discovery.Endpoint) []string {
	var addresses []string
	for _, m := range members {
		if a, ok := m.Address(gossipPort); ok {
			addresses = append(addresses, a)
		}
	}
	slices.Sort(addresses)
	return addresses
}

// load returns those of the last run, by address only: this enforcer says that it does
// not know its zone until the source has told.
func (p *peers) load() []discovery.Endpoint {
	if p.journal == nil {
		return nil
	}
	text, err := p.journal.Load(journal.Peers)
	if err == nil && len(strings.Fields(string(text))) > 0 {
		var saved []discovery.Endpoint
		if saved, err = discovery.ParseStatic(gossipPort, strings.Fields(string(text))); err == nil {
			return saved
		}
	}
	if err != nil {
		p.log.Error("the journal's peers cannot be used", "error", err)
	}
	return nil
}

func (p *peers) save(members []discovery.Endpoint) {
	if p.journal == nil {
		return
	}
	if err := p.journal.Save(journal.Peers, []byte(strings.Join(gossipAddresses(members), "\n")+"\n")); err != nil {
		p.log.Error("the peers were not saved", "error", err)
	}
}

// meet takes part in the pool, as far as there is one, until ctx ends.
func (e *Enforcer) meet(ctx context.Context) error {
	if e.membership == nil {
		e.engine.SetView(e.clock.Now(), gossip.View{Expected: 1})
		return nil
	}
	go e.views.release(ctx, e.peers.told)
	return e.membership.Run(ctx)
}

// views hands what membership sees to those who need it. At first it waits for a
// view that knows who is to be expected, lest a pool look empty.
type views struct {
	set func(membership.View)

	mu       sync.Mutex
	open     bool
	released bool
	least    int // of View.Expected in the first view, when released
	latest   *membership.View
}

func (v *views) changed(view membership.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.latest = &view
	v.pass()
}

// release lets views through once told says how many are expected.
func (v *views) release(ctx context.Context, told <-chan int) {
	select {
	case <-ctx.Done():
	case least := <-told:
		v.mu.Lock()
		defer v.mu.Unlock()
		v.released, v.least = true, least
		v.pass()
	}
}

// pass hands the latest view on if it may; mu is held.
func (v *views) pass() {
	if v.open = v.open || v.released && v.latest != nil && v.latest.Expected >= v.least; v.open {
		v.set(*v.latest)
	}
}

// setView tells the transport and the engine who is there.
func (e *Enforcer) setView(v membership.View) {
	view := gossip.View{Expected: v.Expected, Zone: v.Self.Zone, Leaving: v.Self.State == membership.Leaving}
	addresses := make([]string, 0, len(v.Members))
	for _, m := range v.Members {
		addresses = append(addresses, m.Address)
		view.Members = append(view.Members, gossip.Member{Name: limit.NodeID(m.Name), Address: m.Address, State: stateOf[m.State], Zone: m.Zone})
	}
	e.opts.Log.Info("pool changed", "self", v.Self.Address, "members", v.Members, "expected", v.Expected)
	e.transport.SetPeers(addresses)
	e.engine.SetView(e.clock.Now(), view)
}

var stateOf = map[membership.State]gossip.MemberState{
	membership.Alive: gossip.Alive, membership.Leaving: gossip.Leaving, membership.Unreachable: gossip.Unreachable,
}
