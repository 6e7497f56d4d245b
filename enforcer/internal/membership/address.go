package membership

import (
	"net"
	"net/netip"
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
// leave from, or those to anywhere; else that of an interface; else loopback.
func ownAddress(listen netip.AddrPort, seeds []seed, h host) netip.AddrPort {
	if !listen.Addr().IsUnspecified() {
		return listen
	}
	local := h.local()
	isLocal := map[netip.Addr]bool{}
	for _, a := range local {
		isLocal[a] = true
	}
	var towards []netip.Addr
	for _, s := range seeds {
		for _, a := range s.addrs {
			if a.Port() == listen.Port() && isLocal[a.Addr()] {
				return a
			}
			towards = append(towards, a.Addr())
		}
	}
	for _, to := range append(towards, anywhere...) {
		if a, ok := h.route(to); ok {
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
	defer conn.Close()
	from, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	a := from.AddrPort().Addr().Unmap().WithZone("")
	return a, a.IsValid() && !a.IsUnspecified()
}
