package gossip_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
)

// Whoever keeps to the standing hears of a zone that becomes known.
func TestStandingHasZones(t *testing.T) {
	p := newPool(t, 1, 2)
	n, v := p.nodes[0], p.view(0)
	var version uint32
	for _, zones := range [][2]string{{"", ""}, {"", "b"}, {"a", "b"}, {"a", "c"}} {
		v.Zone, v.Members = zones[0], []gossip.Member{v.Members[0]}
		v.Members[0].Zone = zones[1]
		n.SetView(p.Now(), v)
		s, changed := n.Standing(&version)
		if !changed || s.Zone != zones[0] || s.Nodes[0].Zone != zones[1] {
			t.Errorf("here %q and there %q, changed: %v, want %q", s.Zone, s.Nodes[0].Zone, changed, zones)
		}
		if _, changed := n.Standing(&version); changed {
			t.Error("it has changed by looking")
		}
	}
}
