package transport

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// resolveEvery is how often names are looked up again: a pod that is
	// replaced keeps its name and changes its address.
	resolveEvery = 5 * time.Second

	// resolveSoon is the same while a name has no address.
	resolveSoon = time.Second

	// resolveTimeout bounds one look-up.
	resolveTimeout = 2 * time.Second
)

// endpoint is one address of a peer.
type endpoint struct {
	// name is the address as text, or "host:port" as it was given when the host
	// has no address now: such a peer is expected, and cannot be reached.
	name    string
	address netip.AddrPort
}

// resolver turns a list of peers into addresses, again and again.
type resolver struct {
	lookup   func(ctx context.Context, host string) ([]netip.Addr, error)
	local    netip.Addr // what the socket is bound to: decides which families can be reached
	log      *slog.Logger
	lists    chan []string   // at most the newest list
	resolved chan []endpoint // at most one list
	nudge    func()          // tells that there is one

	// known holds the last answer for each host of the list, and failing the
	// hosts whose last look-up failed.
	known   map[string][]netip.Addr
	failing map[string]bool
}

func newResolver(lookup func(context.Context, string) ([]netip.Addr, error), local netip.Addr, log *slog.Logger) *resolver {
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return &resolver{
		lookup: lookup, local: local.Unmap(), log: log,
		lists: make(chan []string, 1), resolved: make(chan []endpoint, 1), nudge: func() {},
		known: map[string][]netip.Addr{}, failing: map[string]bool{},
	}
}

// set replaces a list that was not taken up yet.
func (r *resolver) set(peers []string) {
	peers = slices.Clone(peers)
	for {
		select {
		case r.lists <- peers:
			return
		default:
		}
		select {
		case <-r.lists:
		default:
		}
	}
}

// run hands every change of the resolved list to r.resolved until ctx ends.
func (r *resolver) run(ctx context.Context) {
	var list []string
	var last []endpoint
	again := time.NewTimer(resolveEvery)
	again.Stop()
	for first := true; ; {
		select {
		case <-ctx.Done():
			return
		case list = <-r.lists:
			r.forget(list)
		case <-again.C:
		}
		endpoints, wait := r.resolve(ctx, list)
		if wait > 0 {
			again.Reset(wait)
		} else {
			again.Stop()
		}
		if !first && slices.Equal(endpoints, last) {
			continue
		}
		select {
		case r.resolved <- endpoints:
			first, last = false, endpoints
			r.nudge()
		case <-ctx.Done():
			return
		}
	}
}

// resolve returns the addresses of the peers in list, sorted, and when to do so
// again; 0 for never.
func (r *resolver) resolve(ctx context.Context, list []string) (endpoints []endpoint, wait time.Duration) {
	for _, peer := range list {
		if a, err := netip.ParseAddrPort(peer); err == nil {
			a = unmap(a)
			endpoints = append(endpoints, endpoint{a.String(), a})
			continue
		}
		if wait == 0 {
			wait = resolveEvery
		}
		addresses := r.addresses(ctx, peer)
		if len(addresses) == 0 {
			wait = resolveSoon
			endpoints = append(endpoints, endpoint{name: peer})
		}
		for _, a := range addresses {
			endpoints = append(endpoints, endpoint{a.String(), a})
		}
	}
	slices.SortFunc(endpoints, func(a, b endpoint) int {
		if c := a.address.Compare(b.address); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	return slices.Compact(endpoints), wait
}

// addresses looks up one "host:port". When that fails the last answer stands: a
// resolver that is away is no reason to forget a peer.
func (r *resolver) addresses(ctx context.Context, peer string) []netip.AddrPort {
	host, service, err := net.SplitHostPort(peer)
	if err != nil {
		return nil
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil
	}
	r.ask(ctx, host)
	var addresses []netip.AddrPort
	for _, a := range r.known[host] {
		if a = a.Unmap(); r.reachable(a) {
			addresses = append(addresses, netip.AddrPortFrom(a, uint16(port)))
		}
	}
	return addresses
}

// ask looks up a host, and logs when that begins to fail.
func (r *resolver) ask(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := r.lookup(ctx, host)
	if err == nil {
		r.known[host] = found
	} else if !r.failing[host] {
		r.log.Warn("cannot resolve a peer; trying again, its last addresses stand", "host", host, "addresses", r.known[host], "error", err)
	}
	r.failing[host] = err != nil
}

// forget drops what is known of hosts that are not in list.
func (r *resolver) forget(list []string) {
	gone := func(host string) bool {
		return !slices.ContainsFunc(list, func(peer string) bool { h, _, _ := net.SplitHostPort(peer); return h == host })
	}
	maps.DeleteFunc(r.known, func(host string, _ []netip.Addr) bool { return gone(host) })
	maps.DeleteFunc(r.failing, func(host string, _ bool) bool { return gone(host) })
}

// reachable says whether the socket can send to a's family.
func (r *resolver) reachable(a netip.Addr) bool {
	return r.local.IsUnspecified() && r.local.Is6() || r.local.Is4() == a.Is4()
}
