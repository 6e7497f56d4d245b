package discovery_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/discovery"
)

// zone is a resolver that answers from memory. What it does not hold does not
// exist; a nil value cannot be looked up at all.
type zone struct {
	mu    sync.Mutex
	srv   map[string][]*net.SRV // by the whole name
	hosts map[string][]string
	asked []string
}

var errServer = &net.DNSError{Err: "server misbehaving", IsTemporary: true}

func answer[T any](z *zone, in map[string][]T, name string) ([]T, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, name)
	found, exists := in[name]
	switch {
	case !exists:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case found == nil:
		return nil, errServer
	}
	return found, nil
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if service != "" {
		name = "_" + service + "._" + proto + "." + name
	}
	records, err := answer(z, z.srv, name)
	return name, records, err
}

func (z *zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	texts, err := answer(z, z.hosts, host)
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, err
}

// set changes the answers about a host; nil means that it cannot be looked up.
func (z *zone) set(host string, addrs []string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts[host] = addrs
}

func srv(target string, port uint16) *net.SRV { return &net.SRV{Target: target, Port: port} }

func TestDNSAnswers(t *testing.T) {
	tests := map[string]struct {
		target string
		zone   *zone
		want   []string // name=address
	}{
		"every IPv4 address is an enforcer": {
			target: "pool.example.com:7946",
			zone:   &zone{hosts: map[string][]string{"pool.example.com": {"10.0.0.2", "10.0.0.1", "10.0.0.2"}}},
			want:   []string{"10.0.0.1:7946=10.0.0.1:7946", "10.0.0.2:7946=10.0.0.2:7946"},
		},
		"IPv6": {
			target: "pool:7946",
			zone:   &zone{hosts: map[string][]string{"pool": {"fd00::2"}}},
			want:   []string{"[fd00::2]:7946=[fd00::2]:7946"},
		},
		"of both families IPv4 counts, also when it is written as IPv6": {
			target: "pool:7946",
			zone:   &zone{hosts: map[string][]string{"pool": {"fd00::2", "::ffff:10.0.0.1"}}},
			want:   []string{"10.0.0.1:7946=10.0.0.1:7946"},
		},
		"a name that does not exist is nobody": {target: "pool:7946", zone: &zone{}, want: []string{}},
		"SRV records by their whole name": {
			target: "_gossip._udp.pool.example.com",
			zone: &zone{
				srv:   map[string][]*net.SRV{"_gossip._udp.pool.example.com": {srv("b.example.com.", 2), srv("a.example.com.", 1)}},
				hosts: map[string][]string{"a.example.com.": {"10.0.0.1"}, "b.example.com.": {"fd00::2"}},
			},
			want: []string{"a.example.com:1=10.0.0.1:1", "b.example.com:2=[fd00::2]:2"},
		},
		"SRV records by the name of the service": {
			target: "pool:gossip",
			zone: &zone{
				srv:   map[string][]*net.SRV{"_gossip._udp.pool": {srv("a.", 7)}, "_gossip._tcp.pool": {srv("b.", 8)}},
				hosts: map[string][]string{"a.": {"10.0.0.1"}, "b.": {"10.0.0.2"}},
			},
			want: []string{"a:7=10.0.0.1:7"},
		},
		"SRV records of TCP when there are none of UDP": {
			target: "pool:gossip-2",
			zone: &zone{
				srv:   map[string][]*net.SRV{"_gossip-2._tcp.pool": {srv("b.", 8)}},
				hosts: map[string][]string{"b.": {"10.0.0.2"}},
			},
			want: []string{"b:8=10.0.0.2:8"},
		},
		"two enforcers on one host differ by port, a host with two families is one": {
			target: "pool:gossip",
			zone: &zone{
				srv:   map[string][]*net.SRV{"_gossip._udp.pool": {srv("a.", 8), srv("a.", 7), srv("a.", 7)}},
				hosts: map[string][]string{"a.": {"10.0.0.1", "fd00::1"}},
			},
			want: []string{"a:7=10.0.0.1:7", "a:8=10.0.0.1:8"},
		},
		"an SRV record whose host does not exist is left out": {
			target: "pool:gossip",
			zone: &zone{
				srv:   map[string][]*net.SRV{"_gossip._udp.pool": {srv("a.", 7), srv("gone.", 7)}},
				hosts: map[string][]string{"a.": {"10.0.0.1"}},
			},
			want: []string{"a:7=10.0.0.1:7"},
		},
		"no SRV records at all": {target: "pool:gossip", zone: &zone{}, want: []string{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heard := watchDNS(t, tc.target, tc.zone)
				synctest.Wait()
				if diff := cmp.Diff([][]string{tc.want}, heard.answers); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				if len(heard.failures) > 0 {
					t.Errorf("failures: %v", heard.failures)
				}
			})
		})
	}
}

// heard is what a Source has told so far.
type heard struct {
	answers  [][]string // name=address
	failures []error
}

// watchDNS watches until the test ends. It belongs in a synctest bubble: read the
// result after synctest.Wait.
func watchDNS(t *testing.T, target string, z *zone) *heard {
	t.Helper()
	h := &heard{}
	source, err := discovery.DNS("gossip", target, z, func(err error) { h.failures = append(h.failures, err) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- source.Watch(ctx, func(members []discovery.Endpoint) {
			list := []string{}
			for _, m := range members {
				address, _ := m.Address("gossip")
				list = append(list, m.Name+"="+address)
				if !m.Ready || !m.Serving {
					t.Errorf("%s is not ready", m.Name)
				}
			}
			h.answers = append(h.answers, list)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestDNSIsLookedUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{hosts: map[string][]string{"pool": {"10.0.0.1"}}}
		h := watchDNS(t, "pool:1", z)
		synctest.Wait()

		z.set("pool", []string{"10.0.0.1", "10.0.0.2"})
		time.Sleep(7 * time.Second)
		synctest.Wait()
		z.set("pool", nil) // DNS is away
		time.Sleep(time.Minute)
		synctest.Wait()
		asked := len(z.asked)
		z.set("pool", []string{"10.0.0.2"})
		time.Sleep(2 * time.Second) // sooner than while all is well
		synctest.Wait()
		z.set("pool", []string{})
		time.Sleep(7 * time.Second)
		synctest.Wait()

		want := [][]string{{"10.0.0.1:1=10.0.0.1:1"}, {"10.0.0.1:1=10.0.0.1:1", "10.0.0.2:1=10.0.0.2:1"}, {"10.0.0.2:1=10.0.0.2:1"}, {}}
		if diff := cmp.Diff(want, h.answers); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if len(h.failures) != 1 || !errors.Is(h.failures[0], errServer) || !strings.Contains(h.failures[0].Error(), `"pool:1"`) {
			t.Errorf("failures %v, want one for the whole minute, which names the target and the reason", h.failures)
		}
		if asked < 40 || asked > 70 {
			t.Errorf("%d look-ups in the minute that they failed, want about one a second", asked)
		}
	})
}

// While some hosts of SRV records cannot be looked up, they stay where they were.
func TestDNSKeepsHostsThatCannotBeLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{
			srv:   map[string][]*net.SRV{"_gossip._udp.pool": {srv("a.", 1), srv("b.", 1), srv("c.", 1)}},
			hosts: map[string][]string{"a.": {"10.0.0.1"}, "b.": {"10.0.0.2"}, "c.": nil},
		}
		h := watchDNS(t, "pool:gossip", z)
		synctest.Wait()
		z.set("a.", nil)
		z.set("b.", []string{"10.0.0.9"})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		z.set("a.", []string{"10.0.0.1"})
		z.set("c.", []string{"10.0.0.3"})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want := [][]string{
			{"a:1=10.0.0.1:1", "b:1=10.0.0.2:1"},
			{"a:1=10.0.0.1:1", "b:1=10.0.0.9:1"},
			{"a:1=10.0.0.1:1", "b:1=10.0.0.9:1", "c:1=10.0.0.3:1"},
		}
		if diff := cmp.Diff(want, h.answers); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if len(h.failures) != 1 {
			t.Errorf("failures %v, want one", h.failures)
		}
	})
}

// A failure at the start is not an answer: the enforcer must not believe that it
// is alone.
func TestDNSThatIsAwayAtTheStart(t *testing.T) {
	for _, target := range []string{"pool:1", "pool:gossip"} {
		synctest.Test(t, func(t *testing.T) {
			z := &zone{
				srv:   map[string][]*net.SRV{"_gossip._udp.pool": {srv("pool", 1)}},
				hosts: map[string][]string{"pool": nil},
			}
			h := watchDNS(t, target, z)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if len(h.answers) > 0 {
				t.Errorf("%s: answers %v, want none yet", target, h.answers)
			}
			z.set("pool", []string{"10.0.0.1"})
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if len(h.answers) != 1 || len(h.answers[0]) != 1 {
				t.Errorf("%s: answers %v, want one with one enforcer", target, h.answers)
			}
		})
	}
}

func TestDNSRefuses(t *testing.T) {
	tests := map[string]struct{ target, wantErr string }{
		"nothing":                        {"", "write NAME:PORT"},
		"a name without a port":          {"pool.example.com", "number from 1 to 65535"},
		"a port without a name":          {":7946", "write NAME:PORT"},
		"an empty port":                  {"pool:", "number from 1 to 65535"},
		"port zero":                      {"pool:0", "number from 1 to 65535"},
		"a port that is too large":       {"pool:65536", "number from 1 to 65535"},
		"a service with a space":         {"pool:go ssip", "name of a service"},
		"two names":                      {"a,b:1", "write NAME:PORT"},
		"a URL":                          {"http://pool:1", "more than one colon"},
		"an IPv4 address":                {"10.0.0.1:7946", "without dns"},
		"an IPv6 address":                {"[fd00::1]:7946", "without dns"},
		"an IPv6 address without a port": {"fd00::1", "without dns"},
		"a port beside SRV records":      {"_gossip._udp.pool:7946", `leave ":7946" out`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			source, err := discovery.DNS("gossip", tc.target, nil, nil)
			if err == nil || source != nil || !strings.Contains(err.Error(), tc.wantErr) || !strings.Contains(err.Error(), `"`+tc.target+`"`) {
				t.Fatalf("%v, %v; want an error with %q and the target", source, err, tc.wantErr)
			}
		})
	}
}
