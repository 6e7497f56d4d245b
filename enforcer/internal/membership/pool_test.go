package membership_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/internal/membership"
)

// listed is a discovery.Source that a test changes.
type listed struct {
	mu      sync.Mutex
	members []discovery.Endpoint
	watches map[chan struct{}]bool
}

func (l *listed) Watch(ctx context.Context, changed func([]discovery.Endpoint)) error {
	woken := make(chan struct{}, 1)
	l.mu.Lock()
	if l.watches == nil {
		l.watches = map[chan struct{}]bool{}
	}
	l.watches[woken] = true
	l.mu.Unlock()
	for {
		l.mu.Lock()
		members := slices.Clone(l.members)
		l.mu.Unlock()
		changed(members)
		select {
		case <-ctx.Done():
			return nil
		case <-woken:
		}
	}
}

// set lists the addresses, as serving unless they start with "!", and in the zone that
// follows an "@".
func (l *listed) set(addresses ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members = nil
	for _, a := range addresses {
		address, down := strings.CutPrefix(a, "!")
		address, zone, _ := strings.Cut(address, "@")
		to := netip.MustParseAddrPort(address)
		l.members = append(l.members, discovery.Endpoint{
			Name: address, Host: to.Addr().String(), Ports: map[string]int{"gossip": int(to.Port())}, Zone: zone, Serving: !down,
		})
	}
	for woken := range l.watches {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
}

// peer is one enforcer's membership in a test.
type peer struct {
	*membership.Membership
	name, address string
	side          *side
	kill          context.CancelFunc
	done          chan error

	mu      sync.Mutex
	views   []membership.View
	reports []error
}

// optionsFor returns what every enforcer needs.
func optionsFor(name, address string) membership.Options {
	return membership.Options{
		Name: name, Listen: netip.MustParseAddrPort(address), Port: "gossip", Changed: func(membership.View) {},
	}
}

// join starts an enforcer.
func join(t *testing.T, n *network, source discovery.Source, name, address string, set ...func(*membership.Options)) *peer {
	t.Helper()
	p := &peer{name: name, address: address, side: n.listen(address), done: make(chan error, 1)}
	o := optionsFor(name, address)
	o.Source = source
	o.Changed = func(v membership.View) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.views = append(p.views, v)
	}
	o.Report = func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reports = append(p.reports, err)
	}
	for _, f := range set {
		f(&o)
	}
	var err error
	p.Membership, err = membership.New(p.side, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p.kill = cancel
	go func() { p.done <- p.Run(ctx) }()
	t.Cleanup(func() { p.crash(t) })
	return p
}

// crash ends p without a word.
func (p *peer) crash(t *testing.T) {
	t.Helper()
	p.side.close()
	p.kill()
	if err := <-p.done; err != nil {
		t.Errorf("%s: %v", p.name, err)
	}
	p.done <- nil
}

func (p *peer) view() membership.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.views) == 0 {
		return membership.View{}
	}
	return p.views[len(p.views)-1]
}

func (p *peer) told() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.reports)
}

// others prints a view without this enforcer: "b c(Leaving) d(Unreachable) of 5".
func (p *peer) others() string {
	v := p.view()
	var parts []string
	for _, m := range v.Members {
		part := m.Name
		if m.State != membership.Alive {
			part += "(" + m.State.String() + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(append(parts, fmt.Sprintf("of %d", v.Expected)), " ")
}

// await waits until cond holds, and returns how long that took. It fails the test
// after limit.
func await(t *testing.T, limit time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(start)
}

// awaitOthers waits until the peers see what is wanted.
func awaitOthers(t *testing.T, limit time.Duration, want map[*peer]string) {
	t.Helper()
	start := time.Now()
	for p, w := range want {
		for p.others() != w {
			if time.Since(start) > limit {
				t.Fatalf("%s does not see %q within %v but %q", p.name, w, limit, p.others())
			}
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
	}
}

// form starts a pool of n enforcers that all list all, and waits until it is
// complete.
func form(t *testing.T, n *network, size int) (peers []*peer, list *listed) {
	t.Helper()
	list = &listed{}
	var addresses []string
	for i := range size {
		addresses = append(addresses, fmt.Sprintf("10.0.0.%d:7946", i+1))
	}
	list.set(addresses...)
	for i, a := range addresses {
		peers = append(peers, join(t, n, list, fmt.Sprintf("p%02d", i+1), a))
	}
	await(t, 10*time.Second, fmt.Sprintf("a pool of %d that forms", size), func() bool {
		return !slices.ContainsFunc(peers, func(p *peer) bool { return living(p) != size-1 })
	})
	return peers, list
}

// living counts the others that are not unreachable.
func living(p *peer) (n int) {
	for _, m := range p.view().Members {
		if m.State != membership.Unreachable {
			n++
		}
	}
	return n
}
