package membership_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/internal/membership"
)

// Time in these tests is that of synctest: Sleep waits for nothing, it moves the clock.

// The halves of a pool that was split for shorter and for longer than memberlist
// remembers the dead find each other again.
func TestASplitHeals(t *testing.T) {
	for name, long := range map[string]time.Duration{"ten seconds": 10 * time.Second, "ten minutes": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, 1)
				peers, _ := form(t, n, 6)
				n.split(func(address string) bool { return slices.Contains(addressesOf(peers[:2]), address) })
				await(t, 2*time.Second, "each half sees the other one as unreachable", func() bool {
					return !slices.ContainsFunc(peers[:2], func(p *peer) bool { return living(p) != 1 || p.view().Expected != 6 }) &&
						!slices.ContainsFunc(peers[2:], func(p *peer) bool { return living(p) != 3 || p.view().Expected != 6 })
				})
				time.Sleep(long)
				if got, want := peers[0].others(), "p02 p03(Unreachable) p04(Unreachable) p05(Unreachable) p06(Unreachable) of 6"; got != want {
					t.Errorf("p01 sees %s, want %s", got, want)
				}
				n.split(nil)
				took := await(t, 5*time.Second, "they are one pool again", func() bool {
					return !slices.ContainsFunc(peers, func(p *peer) bool { return living(p) != 5 })
				})
				t.Logf("one pool again %v after the network healed", took)
			})
		})
	}
}

// Enforcers that were given one seed only find all others, and find them again
// after a split that leaves the seed on one side.
func TestOneSeedIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		seed, alone := &listed{}, &listed{}
		seed.set("10.0.0.1:7946")
		alone.set()
		peers := []*peer{join(t, n, alone, "a", "10.0.0.1:7946")}
		for _, p := range []struct{ name, address string }{{"b", "10.0.0.2:7946"}, {"c", "10.0.0.3:7946"}, {"d", "10.0.0.4:7946"}} {
			peers = append(peers, join(t, n, seed, p.name, p.address))
		}
		awaitOthers(t, 5*time.Second, map[*peer]string{
			peers[0]: "b c d of 4", peers[1]: "a c d of 4", peers[2]: "a b d of 4", peers[3]: "a b c of 4",
		})
		n.split(func(address string) bool { return address == "10.0.0.1:7946" || address == "10.0.0.2:7946" })
		awaitOthers(t, 3*time.Second, map[*peer]string{
			peers[0]: "b c(Unreachable) d(Unreachable) of 4", peers[2]: "a(Unreachable) b(Unreachable) d of 4",
		})
		// Who was never listed is forgotten in time; the seed is not.
		time.Sleep(2 * time.Minute)
		awaitOthers(t, time.Second, map[*peer]string{peers[0]: "b of 2", peers[2]: "a(Unreachable) d of 3"})
		n.split(nil)
		awaitOthers(t, 5*time.Second, map[*peer]string{peers[0]: "b c d of 4", peers[2]: "a b d of 4"})
	})
}

func TestARestartIsAcceptedAtOnce(t *testing.T) {
	tests := map[string]struct {
		name, address string // of the new process; the old one is p02 at 10.0.0.2:7946
		after         time.Duration
		limit         time.Duration
	}{
		"same name and address, before anybody noticed":    {"p02", "10.0.0.2:7946", 0, 500 * time.Millisecond},
		"same name and address, when it is suspect":        {"p02", "10.0.0.2:7946", 400 * time.Millisecond, 500 * time.Millisecond},
		"same name and address, when it is dead":           {"p02", "10.0.0.2:7946", 5 * time.Second, 500 * time.Millisecond},
		"same name, other address, when it is dead":        {"p02", "10.0.0.9:7946", 5 * time.Second, 500 * time.Millisecond},
		"same name, other address, before anybody noticed": {"p02", "10.0.0.9:7946", 0, 5 * time.Second},
		"other name, same address, before anybody noticed": {"p02b", "10.0.0.2:7946", 0, 2 * time.Second},
		"other name, same address, when it is dead":        {"p02b", "10.0.0.2:7946", 5 * time.Second, 500 * time.Millisecond},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, 1)
				peers, list := form(t, n, 4)
				peers[1].crash(t)
				time.Sleep(tc.after)
				list.set("10.0.0.1:7946", tc.address, "10.0.0.3:7946", "10.0.0.4:7946")
				peers[1] = join(t, n, list, tc.name, tc.address)
				restarted := membership.Member{Name: tc.name, Address: tc.address}
				await(t, tc.limit, "the pool is complete", func() bool {
					return !slices.ContainsFunc(peers, func(p *peer) bool {
						v := p.view()
						return len(v.Members) != 3 || v.Expected != 4 || living(p) != 3 ||
							v.Self != restarted && !slices.Contains(v.Members, restarted)
					})
				})
				unchanged := watchViews(t, peers)
				time.Sleep(10 * time.Second)
				unchanged("the pool is complete")
				for _, p := range peers {
					if errs := p.told(); len(errs) > 0 {
						t.Errorf("%s reports a clash: %v", p.name, errs)
					}
				}
			})
		})
	}
}

func TestTwoWithOneNameAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		peers, list := form(t, n, 3)
		list.set(append(addressesOf(peers), "10.0.0.9:7946")...)
		second := join(t, n, list, "p02", "10.0.0.9:7946")
		await(t, 10*time.Second, "both and a third one report the clash", func() bool {
			return len(second.told()) > 0 && len(peers[0].told()) > 0 && len(peers[1].told()) > 0
		})
		err := second.told()[0].Error()
		for _, want := range []string{`"p02"`, "10.0.0.2:7946", "10.0.0.9:7946", "--node-name"} {
			if !strings.Contains(err, want) {
				t.Errorf("%s: want %s in it", err, want)
			}
		}
		if got := peers[0].others(); got != "p02 p03 of 4" {
			t.Errorf("p01 sees %s, want one p02 and one more expected", got)
		}
		time.Sleep(30 * time.Second)
		if reports := len(second.told()); reports > 1 {
			t.Errorf("%d reports in half a minute, want one", reports)
		}
		// The first one goes: the second may have the name.
		if err := peers[1].Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, 5*time.Second, "the second one is taken in", func() bool {
			return slices.Contains(peers[0].view().Members, membership.Member{Name: "p02", Address: "10.0.0.9:7946"})
		})
	})
}

// A seed that nobody has met counts, one that is taken off the list does not; one
// that appears is met.
func TestTheListChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		list := &listed{}
		list.set("10.0.0.1:7946", "10.0.0.2:7946", "!10.0.0.3:7946")
		a := join(t, n, list, "a", "10.0.0.1:7946")
		awaitOthers(t, 5*time.Second, map[*peer]string{a: "of 2"})
		list.set("10.0.0.1:7946")
		awaitOthers(t, time.Second, map[*peer]string{a: "of 1"})

		// One that is not ready yet is met all the same: it needs the others for that.
		silent := &listed{}
		join(t, n, silent, "c", "10.0.0.3:7946")
		list.set("10.0.0.1:7946", "!10.0.0.3:7946")
		awaitOthers(t, 5*time.Second, map[*peer]string{a: "c of 2"})
	})
}

func TestSeedsWithNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		source, err := discovery.Static("gossip", []string{"a.example.com:7946", "b.example.com:7946", "c.example.com:7946"})
		if err != nil {
			t.Fatal(err)
		}
		dns := map[string][]netip.Addr{
			"a.example.com": {netip.MustParseAddr("10.0.0.1")},
			"b.example.com": {netip.MustParseAddr("::ffff:10.0.0.2"), netip.MustParseAddr("fd00::2")},
		}
		lookup := func(_ context.Context, _, host string) ([]netip.Addr, error) {
			if found := dns[host]; found != nil {
				return found, nil
			}
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}
		a := join(t, n, source, "a", "10.0.0.1:7946", func(o *membership.Options) { o.Lookup = lookup })
		b := join(t, n, source, "b", "10.0.0.2:7946", func(o *membership.Options) { o.Lookup = lookup })
		awaitOthers(t, 5*time.Second, map[*peer]string{a: "b of 3", b: "a of 3"})
	})
}

// An enforcer that listens everywhere is known by the address that is listed.
func TestTheListSaysWhichAddressIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		list := &listed{}
		everywhere := func(o *membership.Options) { o.Listen = netip.AddrPortFrom(netip.IPv4Unspecified(), o.Listen.Port()) }
		list.set("127.0.0.1:7946", "127.0.0.1:7947")
		a := join(t, n, list, "a", "127.0.0.1:7946", everywhere)
		b := join(t, n, list, "b", "127.0.0.1:7947", everywhere)
		awaitOthers(t, 5*time.Second, map[*peer]string{a: "b of 2", b: "a of 2"})
		if got := b.view().Self.Address; got != "127.0.0.1:7947" {
			t.Errorf("b is at %s, want 127.0.0.1:7947", got)
		}
	})
}

func TestAnAddressIsAdvertised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		list := &listed{}
		list.set("10.0.0.1:7946", "10.0.0.2:7946")
		a := join(t, n, list, "a", "10.0.0.1:7946", func(o *membership.Options) {
			o.Advertise, o.Listen = o.Listen, netip.MustParseAddrPort("[::]:1234")
		})
		b := join(t, n, list, "b", "10.0.0.2:7946")
		awaitOthers(t, 5*time.Second, map[*peer]string{a: "b of 2", b: "a of 2"})
	})
}

// Who is told of nobody works alone, after a while.
func TestDiscoveryThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		silent := source(func(ctx context.Context, _ func([]discovery.Endpoint)) error {
			<-ctx.Done()
			return nil
		})
		a := join(t, n, silent, "a", "10.0.0.1:7946", func(o *membership.Options) { o.Listen = netip.MustParseAddrPort("[::]:7946") })
		awaitOthers(t, 3*time.Second, map[*peer]string{a: "of 1"})
		b := join(t, n, nil, "b", "10.0.0.2:7946")
		awaitOthers(t, time.Second, map[*peer]string{b: "of 1"})
	})
}

func TestDiscoveryThatCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		broken := errors.New("no such resource")
		o := optionsFor("a", "10.0.0.1:7946")
		o.Source = source(func(context.Context, func([]discovery.Endpoint)) error { return broken })
		m, err := membership.New(n.listen("10.0.0.1:7946"), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("Run returned %v, want %v", err, broken)
		}
	})
}

type source func(context.Context, func([]discovery.Endpoint)) error

func (s source) Watch(ctx context.Context, changed func([]discovery.Endpoint)) error {
	return s(ctx, changed)
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := membership.New(&side{}, membership.Options{Advertise: netip.MustParseAddrPort("0.0.0.0:1")})
	for _, want := range []string{"Options.Name", "Options.Listen", "Options.Advertise", "Options.Changed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %s in it", err, want)
		}
	}
}
