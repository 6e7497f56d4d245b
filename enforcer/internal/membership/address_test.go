package membership

import (
	"net/netip"
	"testing"
)

func TestOwnAddress(t *testing.T) {
	tests := map[string]struct {
		listen string
		seeds  []string
		local  []string
		routes map[string]string // from an address to the one that packets leave from
		want   string
	}{
		"a certain address": {
			listen: "10.0.0.7:7946", seeds: []string{"10.0.0.1:7946"}, local: []string{"10.0.0.1"}, want: "10.0.0.7:7946",
		},
		"the seed that is this machine's and has the port": {
			listen: "0.0.0.0:7947", seeds: []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.1:7947"}, local: []string{"127.0.0.1", "10.0.0.1"},
			want: "10.0.0.1:7947",
		},
		"an IPv6 seed": {
			listen: "[::]:7946", seeds: []string{"[fd00::2]:7946", "[fd00::1]:7946"}, local: []string{"::1", "fd00::1"}, want: "[fd00::1]:7946",
		},
		"seeds on this machine only": {
			listen: "[::]:7947", seeds: []string{"127.0.0.1:7946", "127.0.0.1:7947"}, local: []string{"127.0.0.1", "10.0.0.1"}, want: "127.0.0.1:7947",
		},
		"the way to another enforcer on this machine": {
			listen: "[::]:7947", seeds: []string{"127.0.0.1:7946"}, local: []string{"127.0.0.1", "10.0.0.1"},
			routes: map[string]string{"127.0.0.1": "127.0.0.1", "192.0.2.1": "10.0.0.1"}, want: "127.0.0.1:7947",
		},
		"a machine whose own name is a loopback address": {
			listen: "[::]:7946", seeds: []string{"127.0.1.1:7946", "10.0.0.2:7946"}, local: []string{"127.0.0.1", "10.0.0.1"},
			routes: map[string]string{"127.0.1.1": "127.0.0.1", "10.0.0.2": "10.0.0.1"}, want: "10.0.0.1:7946",
		},
		"of two networks that of the seeds": {
			listen: "[::]:7946", seeds: []string{"10.9.0.2:7946"}, local: []string{"10.0.0.1", "10.9.0.1"},
			routes: map[string]string{"192.0.2.1": "10.0.0.1", "10.9.0.2": "10.9.0.1"}, want: "10.9.0.1:7946",
		},
		"without seeds the default route": {
			listen: "[::]:7946", local: []string{"127.0.0.1", "10.9.0.1", "10.0.0.1"},
			routes: map[string]string{"192.0.2.1": "10.0.0.1", "2001:db8::1": "fd00::1"}, want: "10.0.0.1:7946",
		},
		"the default route of IPv6": {
			listen: "[::]:7946", routes: map[string]string{"2001:db8::1": "fd00::1"}, want: "[fd00::1]:7946",
		},
		"without routes the first address": {
			listen: "0.0.0.0:7946", local: []string{"127.0.0.1", "fe80::1", "fd00::1", "10.9.0.1"}, want: "10.9.0.1:7946",
		},
		"without an IPv4 address the first of IPv6": {
			listen: "[::]:7946", local: []string{"::1", "fe80::1", "fd00::1"}, want: "[fd00::1]:7946",
		},
		"without a network loopback": {listen: "[::]:7946", local: []string{"127.0.0.1"}, want: "127.0.0.1:7946"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := host{
				local: func() (all []netip.Addr) {
					for _, a := range tc.local {
						all = append(all, netip.MustParseAddr(a))
					}
					return all
				},
				route: func(to netip.Addr) (netip.Addr, bool) {
					from, err := netip.ParseAddr(tc.routes[to.String()])
					return from, err == nil
				},
			}
			var seeds []seed
			for _, s := range tc.seeds {
				seeds = append(seeds, seed{addrs: []netip.AddrPort{netip.MustParseAddrPort(s)}})
			}
			if got := ownAddress(netip.MustParseAddrPort(tc.listen), seeds, h); got.String() != tc.want {
				t.Errorf("own address %v, want %v", got, tc.want)
			}
		})
	}
}

func TestMine(t *testing.T) {
	h := host{local: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("10.0.0.1")} }}
	tests := []struct {
		listen, address string
		want            bool
	}{
		{"[::]:7946", "10.0.0.1:7946", true},
		{"[::]:7946", "127.0.1.1:7946", true},
		{"[::]:7946", "10.0.0.1:7947", false},
		{"[::]:7946", "10.0.0.2:7946", false},
		{"127.0.0.1:7946", "127.0.0.1:7946", true},
		{"127.0.0.1:7946", "127.0.0.2:7946", false},
	}
	for _, tc := range tests {
		if got := mine(netip.MustParseAddrPort(tc.listen), h)(netip.MustParseAddrPort(tc.address)); got != tc.want {
			t.Errorf("listening at %s, %s is mine: %v, want %v", tc.listen, tc.address, got, tc.want)
		}
	}
}

// Every machine can reach itself.
func TestThisHost(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	if from, ok := thisHost.route(loopback); !ok || from != loopback {
		t.Errorf("packets to %v leave from %v, %v", loopback, from, ok)
	}
	found := false
	for _, a := range thisHost.local() {
		found = found || a == loopback
	}
	if !found {
		t.Errorf("%v is not among the addresses of this machine: %v", loopback, thisHost.local())
	}
}
