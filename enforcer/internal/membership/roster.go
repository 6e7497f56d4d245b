package membership

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// lately is for how long a member that does not answer, and that discovery never
// listed, may still be alive somewhere. It covers the holding of its share, and
// what it takes to notice and mend a split network.
const lately = time.Minute

// roster is what is known of the pool. It has no clock and no lock; the zero
// value knows nobody.
type roster struct {
	self  node
	nodes map[string]*node // the others, by name
	seeds []seed           // as discovery told them last

	// mine says of an address other than self's that it leads to this enforcer, too;
	// nil means none does.
	mine func(netip.AddrPort) bool
}

// node is a process that has been met.
type node struct {
	name    string
	address netip.AddrPort
	meta         // what it says of itself
	alive   bool // says SWIM
	listed  bool // discovery listed its address since it was met

	// since is when alive became what it is.
	since time.Time
}

// seed is an address at which discovery expects an enforcer, whatever its name.
type seed struct {
	host  string // an IP address, or a name that has to be looked up
	port  uint16
	addrs []netip.AddrPort // what host means; none while that is not known

	// serving says that discovery believes it to work.
	serving bool
	zone    string // says discovery; empty where it does not know
}

func (s seed) is(address netip.AddrPort) bool { return slices.Contains(s.addrs, address) }

// heard takes note of what SWIM says of a node.
func (r *roster) heard(name string, address netip.AddrPort, alive bool, says meta, now time.Time) {
	if name == r.self.name {
		return
	}
	n, known := r.nodes[name]
	if !known || n.address != address {
		if !alive {
			return // of one that was replaced, or is forgotten
		}
		n = &node{name: name, address: address, since: now}
		if r.nodes == nil {
			r.nodes = map[string]*node{}
		}
		r.nodes[name] = n
	}
	if n.alive != alive {
		n.alive, n.since = alive, now
	}
	n.meta = says
}

// locate looks up in which zone this enforcer is, and says whether that is another
// one than before. As long as it is not listed, it stays where it was.
func (r *roster) locate() (moved bool) {
	self := map[netip.AddrPort]bool{r.self.address: true}
	i := slices.IndexFunc(r.seeds, func(s seed) bool { return r.here(s, self) })
	if i < 0 || r.seeds[i].zone == r.self.zone {
		return false
	}
	r.self.zone = r.seeds[i].zone
	return true
}

// view forgets who is known to be dead, and returns the rest. again is when it
// has to be asked once more although nothing has happened; zero means never.
func (r *roster) view(now time.Time) (v View, again time.Time) {
	v = View{Self: r.self.member()}
	met := r.met()
	for name, n := range r.nodes {
		until, gone := r.fate(n, met[n.address], now)
		if gone {
			delete(r.nodes, name)
			continue
		}
		if !until.IsZero() && (again.IsZero() || until.Before(again)) {
			again = until
		}
		v.Members = append(v.Members, n.member())
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range r.nodes {
		met[n.address] = true
	}
	v.Expected = 1 + len(v.Members)
	for _, s := range r.seeds {
		if s.serving && !r.here(s, met) {
			v.Expected++
			for _, a := range s.addrs { // listed twice is expected once
				met[a] = true
			}
		}
	}
	return v, again
}

// fate says whether n is known to be dead, or from when on it will be if nothing
// happens. taken says that somebody alive has its address.
func (r *roster) fate(n *node, taken bool, now time.Time) (until time.Time, gone bool) {
	i := slices.IndexFunc(r.seeds, func(s seed) bool { return s.is(n.address) })
	n.listed = n.listed || i >= 0
	switch {
	case n.alive:
		return time.Time{}, false
	case n.leaving, taken:
		return time.Time{}, true
	case i >= 0:
		return time.Time{}, !r.seeds[i].serving
	case n.listed:
		return time.Time{}, true
	default:
		until = n.since.Add(lately)
		return until, !now.Before(until)
	}
}

func (n *node) member() Member {
	m := Member{Name: n.name, Address: n.address.String(), Zone: n.zone}
	switch {
	case !n.alive:
		m.State = Unreachable
	case n.leaving:
		m.State = Leaving
	}
	return m
}

// missing returns where an enforcer may be that is not met: the seeds, and the
// members that do not answer.
func (r *roster) missing() []seed {
	met := r.met()
	var missing []seed
	for _, s := range r.seeds {
		if !r.here(s, met) {
			missing = append(missing, s)
		}
	}
	for _, n := range r.nodes {
		if !n.alive && !slices.ContainsFunc(missing, func(s seed) bool { return s.is(n.address) }) {
			missing = append(missing, seed{
				host: n.address.Addr().String(), port: n.address.Port(), addrs: []netip.AddrPort{n.address},
			})
		}
	}
	return missing
}

// met returns the addresses of this enforcer and of those who answer.
func (r *roster) met() map[netip.AddrPort]bool {
	met := map[netip.AddrPort]bool{r.self.address: true}
	for _, n := range r.nodes {
		if n.alive {
			met[n.address] = true
		}
	}
	return met
}

// here says whether one of the seed's addresses is met, or leads to this
// enforcer.
func (r *roster) here(s seed, met map[netip.AddrPort]bool) bool {
	return slices.ContainsFunc(s.addrs, func(a netip.AddrPort) bool {
		return met[a] || r.mine != nil && r.mine(a)
	})
}

// living returns the addresses of those who answer.
func (r *roster) living() []netip.AddrPort {
	var all []netip.AddrPort
	for _, n := range r.nodes {
		if n.alive {
			all = append(all, n.address)
		}
	}
	return all
}
