package membership

import (
	"net"
	"net/netip"
	"slices"
)

// host is what the machine says of its network.
type host struct {
	// local are the addresses of its interfaces.
	local func() []netip.Addr

	// route returns the address that packets to another one leave from; none if
	// they cannot leave.
	route func(to netip.Addr) (netip.Addr, bool)
}

// Documentation addresses (RFC 5737, RFC 3849): routed by default, owned by nobody.
var anywhere = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}

// ownAddress says where the others reach an enforcer that listens at listen: if
// that is a certain address, there. Else the seed that is this machine's and has
// the port is meant for it; else it is the address that packets to the seeds
// leave from, or those to anywhere; else that of an interface; else loopback. That
// a seed is a loopback address, as a machine's own name can be, counts only if all
// are.
func ownAddress(listen netip.AddrPort, seeds []seed, h host) netip.AddrPort {
	if !listen.Addr().IsUnspecified() {
		return listen
	}
	var targets, loopback []netip.AddrPort
	for _, s := range seeds {
		for _, a := range s.addrs {
			if a.Addr().IsLoopback() {
				loopback = append(loopback, a)
			} else {
				targets = append(targets, a)
			}
		}
	}
	if len(targets) == 0 {
		targets = loopback
	}
	local := h.local()
	for _, a := range targets {
		if a.Port() == listen.Port() && slices.Contains(local, a.Addr()) {
			return a
		}
	}
	for _, a := range anywhere {
		targets = append(targets, netip.AddrPortFrom(a, 0))
	}
	for _, to := range targets {
		if a, ok := h.route(to.Addr()); ok {
			return netip.AddrPortFrom(a, listen.Port())
		}
	}
	for _, v6 := range []bool{false, true} {
		for _, a := range local {
			if a.Is6() == v6 && a.IsGlobalUnicast() {
				return netip.AddrPortFrom(a, listen.Port())
			}
		}
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), listen.Port())
}

// mine returns which addresses lead to an enforcer that listens at listen, beside
// the one that it advertises.
func mine(listen netip.AddrPort, h host) func(netip.AddrPort) bool {
	if !listen.Addr().IsUnspecified() {
		return func(a netip.AddrPort) bool { return a == listen }
	}
	local := h.local()
	return func(a netip.AddrPort) bool {
		return a.Port() == listen.Port() && (a.Addr().IsLoopback() || slices.Contains(local, a.Addr()))
	}
}

// thisHost asks the operating system.
var thisHost = host{local: localAddresses, route: routeTo}

func localAddresses() []netip.Addr {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, i := range interfaces {
		if n, ok := i.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok {
				all = append(all, a.Unmap())
			}
		}
	}
	return all
}

// routeTo connects a datagram socket, which chooses a route and sends nothing.
func routeTo(to netip.Addr) (netip.Addr, bool) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return netip.Addr{}, false
	}
	from, ok := conn.LocalAddr().(*net.UDPAddr)
	_ = conn.Close() // nothing was sent
	if !ok {
		return netip.Addr{}, false
	}
	a := from.AddrPort().Addr().Unmap().WithZone("")
	return a, a.IsValid() && !a.IsUnspecified()
}
