package membership

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sluice-dev/sluice/enforcer/discovery"
)

const (
	// While somebody is missing, a few of the missing are tried again and again:
	// soon at first, so that a pool that starts comes together, and for ever, so that
	// the halves of a pool that was split find each other however long that took.
	// memberlist does not: it forgets the dead.
	joinSoon  = 250 * time.Millisecond
	joinOften = 2 * time.Second

	// joinAtOnce is how many are tried in one round. One that answers knows the
	// others on its side.
	joinAtOnce = 3

	lookupTimeout = 2 * time.Second
	lookupAtOnce  = 8
)

// expect takes note of what discovery says.
func (m *Membership) expect(members []discovery.Endpoint) {
	m.mu.Lock()
	resolved := map[string][]netip.Addr{}
	for _, s := range m.roster.seeds {
		for _, a := range s.addrs {
			resolved[s.host] = append(resolved[s.host], a.Addr())
		}
	}
	m.roster.seeds = seedsOf(members, m.opts.Port, resolved)
	m.moved = m.roster.locate() || m.moved
	m.mu.Unlock()
	select {
	case <-m.told:
	default:
		close(m.told) // the only closer: calls do not overlap
	}
	m.wake()
	token(m.relisted)
}

// seedsOf returns where the members take gossip. resolved has the addresses of
// hosts that were looked up before.
func seedsOf(members []discovery.Endpoint, port string, resolved map[string][]netip.Addr) []seed {
	var seeds []seed
	for _, e := range members {
		number, ok := e.Ports[port]
		if !ok {
			continue
		}
		s := seed{host: e.Host, port: uint16(number), serving: e.Serving}
		if len(e.Zone) <= maxZone {
			s.zone = e.Zone
		}
		if a, err := netip.ParseAddr(e.Host); err == nil {
			s.addrs = []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), s.port)}
		} else {
			for _, a := range resolved[e.Host] {
				s.addrs = append(s.addrs, netip.AddrPortFrom(a, s.port))
			}
		}
		seeds = append(seeds, s)
	}
	return seeds
}

// rejoin looks for who is missing, and tells the others when this enforcer's zone
// becomes known, until ctx ends.
func (m *Membership) rejoin(ctx context.Context, list *memberlist.Memberlist) {
	for pause := joinSoon; ; pause = min(2*pause, joinOften) {
		if m.hasMoved() {
			_ = m.tell(ctx, (*memberlist.Memberlist).UpdateNode) // the rest hear it with resync
		}
		if targets, unknown := m.targets(); len(targets) > 0 {
			m.lookup(ctx, targets)
			m.lookup(ctx, unknown)
			join(list, targets)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.relisted:
			pause = joinSoon
		case <-time.After(pause + rand.N(pause/4)): //nolint:gosec // no secret
		}
	}
}

// hasMoved says, once, that the others may not know of this enforcer's zone.
func (m *Membership) hasMoved() (moved bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	moved, m.moved = m.moved, false
	return moved
}

// targets returns some of those who are missing, and the others of them that have
// a name whose addresses are not known: they may be there already. Nobody need be
// missing and yet the others may not take note of this enforcer: when they found
// it before it had begun, as a dead one that it must contradict, and while another
// one that is alive, or was a second ago, has its name. Then some of them are
// targets, too.
func (m *Membership) targets() (targets, unknown []seed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	missing := m.roster.missing()
	if m.unheard {
		m.unheard = false
		for _, a := range m.roster.living() {
			missing = append(missing, seed{host: a.Addr().String(), port: a.Port(), addrs: []netip.AddrPort{a}})
		}
	}
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
	some := min(len(missing), joinAtOnce)
	for _, s := range missing[some:] {
		if len(s.addrs) == 0 {
			unknown = append(unknown, s)
		}
	}
	return missing[:some], unknown
}

// join exchanges with each of them all that is known of the pool.
func join(list *memberlist.Memberlist, targets []seed) {
	var all sync.WaitGroup
	for _, target := range targets {
		var addrs []string
		for _, a := range target.addrs {
			addrs = append(addrs, a.String())
		}
		all.Go(func() { _, _ = list.Join(addrs) }) // its errors are in the log
	}
	all.Wait()
}

// lookup finds the addresses of the seeds that have names, in place and for all
// seeds of those names. A name that cannot be looked up keeps what it had.
func (m *Membership) lookup(ctx context.Context, seeds []seed) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var all sync.WaitGroup
	slots := make(chan struct{}, lookupAtOnce)
	for i := range seeds {
		if _, err := netip.ParseAddr(seeds[i].host); err == nil {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			found, err := m.opts.Lookup(ctx, "ip", seeds[i].host)
			if err != nil || len(found) == 0 {
				return
			}
			seeds[i].addrs = nil
			for _, a := range found {
				seeds[i].addrs = append(seeds[i].addrs, netip.AddrPortFrom(a.Unmap(), seeds[i].port))
			}
			slices.SortFunc(seeds[i].addrs, netip.AddrPort.Compare) // IPv4 first
		})
	}
	all.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.roster.seeds {
		s := &m.roster.seeds[i]
		for _, looked := range seeds {
			if looked.host == s.host && looked.port == s.port {
				s.addrs = looked.addrs
			}
		}
	}
	m.wake()
}
