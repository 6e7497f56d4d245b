package membership_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/membership"
)

// zones prints where p sees everybody, itself included: "p01@a p02@".
func zones(p *peer) string {
	v := p.view()
	var all []string
	for _, m := range append([]membership.Member{v.Self}, v.Members...) {
		all = append(all, m.Name+"@"+m.Zone)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// awaitZones waits until all of them see what is wanted.
func awaitZones(t *testing.T, limit time.Duration, peers []*peer, want string) {
	t.Helper()
	await(t, limit, "all see "+want, func() bool {
		return !slices.ContainsFunc(peers, func(p *peer) bool { return zones(p) != want })
	})
}

func TestZonesAreKnownToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		peers, list := form(t, n, 3)
		awaitZones(t, time.Second, peers, "p01@ p02@ p03@")
		for _, step := range []struct {
			lists []string
			want  string
		}{
			{[]string{"10.0.0.1:7946@a", "10.0.0.2:7946@b", "10.0.0.3:7946@c"}, "p01@a p02@b p03@c"},
			{[]string{"10.0.0.1:7946@c", "10.0.0.2:7946@b", "10.0.0.3:7946"}, "p01@c p02@b p03@"},
			{[]string{"10.0.0.1:7946@c"}, "p01@c p02@b p03@"}, // who is not listed stays where it was
			{[]string{"10.0.0.3:7946@" + strings.Repeat("z", 64)}, "p01@c p02@b p03@"},
		} {
			list.set(step.lists...)
			awaitZones(t, 2*time.Second, peers, step.want)
		}
		list.set("10.0.0.1:7946@c", "10.0.0.4:7946@d")
		peers = append(peers, join(t, n, list, "p04", "10.0.0.4:7946"))
		awaitZones(t, 2*time.Second, peers, "p01@c p02@b p03@ p04@d")
	})
}

// One that starts while discovery says nothing of zones, as when it has its peers from
// the journal, does not know in which zone it is, and then nobody does.
func TestAllAgreeOnZonesWhateverDiscoverySays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		knows, knowsNot := &listed{}, &listed{}
		knows.set("10.0.0.1:7946@a", "10.0.0.2:7946@b", "10.0.0.3:7946@c")
		knowsNot.set("10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946")
		peers := []*peer{
			join(t, n, knows, "p01", "10.0.0.1:7946"),
			join(t, n, knows, "p02", "10.0.0.2:7946"),
			join(t, n, knows, "p03", "10.0.0.3:7946"),
		}
		awaitZones(t, 10*time.Second, peers, "p01@a p02@b p03@c")
		peers[2].crash(t)
		peers[2] = join(t, n, knowsNot, "p03", "10.0.0.3:7946")
		awaitZones(t, 10*time.Second, peers, "p01@a p02@b p03@")
		knowsNot.set("10.0.0.3:7946@c")
		awaitZones(t, 2*time.Second, peers, "p01@a p02@b p03@c")
	})
}
