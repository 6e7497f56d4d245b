// Package engine is one node of a pool: it matches a request against the policies
// in force, decides by the counters, and shares what it admitted with the other
// nodes. It has no goroutines, no clock and no I/O of its own: drivers bring the
// time, the frames and the policies, so a pool runs as well in one goroutine and
// in virtual time as on a network.
package engine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// expireBudget is how many counters one Tick may forget: at one Tick each
// gossip.Interval more than a node can make.
const (
	expireBudget = 50_000
	expireEvery  = 20 * limit.Millisecond

	// homePart of the counters may have their home here, and at least minHomes.
	homePart, minHomes = 4, 1024

	// exactPart of the counters may be shared exactly.
	exactPart, minExact = 4, 1024
)

// Options configure an Engine.
type Options struct {
	// Node is this node's name in the pool; required.
	Node limit.NodeID

	// MaxKeys bounds the counters that are remembered; 0 means
	// account.DefaultMaxKeys.
	MaxKeys int

	// Seed is the hash seed that this node proposes to its pool, and Born the time
	// of its start. Seed must be random: it also tells this start of the node from
	// earlier ones.
	Seed match.Seed
	Born limit.Instant

	// Wake is called when a request gave the node something to tell, so that Tick
	// need not wait for its time; nil calls nobody. It runs within Decide: it must
	// not block, and must not call the Engine.
	Wake func()

	// Hurry is called when a request waits for another node's answer: Flush asks it.
	// Otherwise it is as Wake.
	Hurry func()
}

// Engine is one node. Decide may be called from any number of goroutines, and
// so may the methods that report; the others are called by drivers, from any
// goroutine as well. Make one with New.
type Engine struct {
	store  *account.Store
	force  atomic.Pointer[force]
	own    ownMeters
	spare  sync.Pool     // of *scratch, for answers that are used once
	failed atomic.Uint64 // expressions that failed on a request

	// mu makes the drivers' calls one after another. Decide never waits for it,
	// except for a limit that a request brings along for the first time.
	mu       sync.Mutex
	gossip   *gossip.Node  // guarded by mu
	expireAt limit.Instant // guarded by mu

	lease    *lease.Node // Take, Undo and Look need no mu
	leases   bool        // a limit has needed it; guarded by mu
	standing uint32      // of the pool, as lease knows it; guarded by mu
}

// force is what Decide needs to see as one: the policies, where the store has
// their meters, and the seed that keys are hashed with.
type force struct {
	snapshot *policy.Snapshot // nil before the first
	refs     []account.Ref    // by position in snapshot.Meters
	meters   []account.Meter  // snapshot.Meters, as the store takes them
	exact    []bool           // which of them are shared exactly; nil: none
	seed     match.Seed
	since    limit.Instant
}

// New returns an Engine without policies and peers.
func New(o Options) (*Engine, error) {
	store, err := account.New(account.Options{MaxKeys: o.MaxKeys, Wake: o.Wake})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e := &Engine{store: store}
	e.spare.New = func() any { return newScratch() }
	e.force.Store(&force{seed: o.Seed})
	e.gossip, err = gossip.New(gossip.Options{
		Name: o.Node, Seed: gossip.Seed{Value: o.Seed, Born: o.Born},
		Counters: counters{e}, MaxHomes: max(minHomes, store.Stats().MaxKeys/homePart),
	})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e.lease, err = lease.New(lease.Options{
		Name: o.Node, Life: e.gossip.Life(), Params: counters{e}.params, Wake: o.Wake, Hurry: o.Hurry,
		MaxKeys: max(minExact, store.Stats().MaxKeys/exactPart),
	})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return e, nil
}

// SetPolicy puts a snapshot in force, as a whole: every request is decided by one
// snapshot. Counters of limits that did not change survive; those whose rate
// changed are rescaled, so that what a client has used stays used.
func (e *Engine) SetPolicy(now limit.Instant, snapshot *policy.Snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	meters := make([]account.Meter, len(snapshot.Meters))
	for i, m := range snapshot.Meters {
		meters[i] = account.Meter{
			Limit: m.Limit, Variant: m.Variant, Params: m.Params,
			Local: m.Sharing == policy.Local, Cautious: m.Cautious,
		}
	}
	exact := exactMeters(snapshot)
	e.leases = e.leases || exact != nil
	e.force.Store(&force{
		snapshot: snapshot, exact: exact, meters: meters, refs: e.setMetersLocked(now, meters),
		seed: e.gossip.Seed().Value, since: now,
	})
	e.gossip.Start(now)
	e.standLocked(now)
}

// SetView replaces the view of the pool: who the other nodes are, where, and
// whether they can be reached.
func (e *Engine) SetView(now limit.Instant, v gossip.View) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gossip.SetView(now, v)
	e.standLocked(now)
}

// Tick does what time asks for: it shares what was admitted, and forgets
// counters that say nothing any more. It returns when a driver should call it
// again at the latest.
func (e *Engine) Tick(now limit.Instant, out gossip.Outbox) (next limit.Span) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next = e.gossip.Tick(now, out)
	if e.leases {
		e.standLocked(now)
		next = min(next, e.lease.Tick(now, out))
	}
	if now >= e.expireAt {
		e.expireAt = now.Add(expireEvery)
		e.store.Expire(now, expireBudget)
	}
	return next
}

// Receive takes a frame from a peer. Its errors are those of gossip.Node.Receive, and
// lease.ErrMalformed.
func (e *Engine) Receive(now limit.Instant, from string, frame []byte, out gossip.Outbox) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(frame) > 0 && frame[0] == lease.Version {
		if !e.leases {
			return nil // this node has not heard yet of a limit that others have
		}
		// A node that has just come may speak before gossip has heard of it. It is
		// counted, and says it again; of who does not belong here gossip complains.
		if err := e.lease.Receive(now, from, frame, out); !errors.Is(err, lease.ErrStranger) {
			return err
		}
		return nil
	}
	err := e.gossip.Receive(now, from, frame, out)
	e.standLocked(now)
	return err
}

// Flush sends what somebody waits for: a driver calls it when it has given the Engine all
// frames that there were, and after Hurry. Tick does it too.
func (e *Engine) Flush(now limit.Instant, out gossip.Outbox) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leases {
		e.lease.Flush(now, out)
	}
}

// Joined says whether the node has policies and the counts of its peers, or has
// waited for them long enough. It stays true.
func (e *Engine) Joined() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gossip.Joined()
}

// Left says whether a node whose View says that it leaves has told the others all
// that it took.
func (e *Engine) Left() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gossip.Left() && (!e.leases || e.lease.Left())
}

// MayWait says whether there are limits that DecideOrWait may have to wait for.
func (e *Engine) MayWait() bool { return e.force.Load().exact != nil }

// Prompt says whether somebody waits for the answers to frames that are under way:
// here, or on the nodes that they came from. It is for the driver of Tick and Receive.
func (e *Engine) Prompt(now limit.Instant) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leases && e.lease.Prompt(now)
}

// Decide decides a request, charges its limits and fills in ans. It makes no
// allocation when ans has been used before for as many limits and descriptors. Where
// another node would have to be asked first, it is, and the request is denied.
func (e *Engine) Decide(now limit.Instant, req *request.Request, ans *request.Answer) {
	e.DecideOrWait(now, req, ans, nil)
}

// DecideOrWait is Decide, but for a request of which another node has to be asked
// first it returns true: nothing is decided or charged, and w is woken when it is
// worth to try again.
func (e *Engine) DecideOrWait(now limit.Instant, req *request.Request, ans *request.Answer, w lease.Waiter) (waits bool) {
	ans.Reset(len(req.Descriptors))
	if s, ok := ans.Work.(*scratch); ok {
		return e.decide(now, req, ans, s, w)
	}
	s := e.borrow(ans)
	waits = e.decide(now, req, ans, s, w)
	if ans.Work != any(s) {
		e.spare.Put(s)
	}
	return waits
}

func (e *Engine) decide(now limit.Instant, req *request.Request, ans *request.Answer, s *scratch, w lease.Waiter) (waits bool) {
	f := e.force.Load()
	domain := s.domain(f, req.Domain)
	if domain == nil {
		return false
	}
	ans.KnownDomain = true
	failed := 0
	s.matched, failed = s.matcher.Match(domain, f.seed, req, s.matched[:0])
	if failed > 0 {
		e.failed.Add(uint64(failed))
	}
	if len(s.matched) > 0 {
		admitted, waits := e.charge(now, f, s, w)
		if waits {
			return true
		}
		s.answer(admitted, ans)
	}
	return false
}
