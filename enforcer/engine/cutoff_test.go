package engine_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// One of three is cut off, and loses sight of the others one after the other: for a
// second it reaches most of the pool, and takes the first one to be down. The two
// others go on as if it were; it lets them go on all the same, and keeps to its third.
func TestOneIsCutOffAndFindsOutOneByOne(t *testing.T) {
	for seed := range uint64(12) { // so that the client's home is each of them
		p := newPool(t, seed, 3, lan, compile(t, perClient("client", 100, "1s", 100)))
		req, even := client("acme"), []float64{1, 1, 1}
		lose := func(node int, gone func(at int, address string) bool) {
			v := p.view(node)
			for i := range v.Members {
				if gone(i, v.Members[i].Address) {
					v.Members[i].State = gossip.Unreachable
				}
			}
			p.nodes[node].SetView(p.Now(), v)
		}
		toLone := func(_ int, address string) bool { return address == p.addrs[0] }

		p.offer(req, 200, 4*limit.Second, even)
		p.Split([]string{p.addrs[0]})
		p.offer(req, 200, limit.Second, even)
		lose(0, func(at int, _ string) bool { return at == int(seed%2) })
		lose(1, toLone)
		lose(2, toLone)
		p.offer(req, 200, limit.Second, even)
		lose(0, func(int, string) bool { return true })
		p.offer(req, 200, limit.Second, even)
		for second := range 6 {
			if all, by := p.offer(req, 200, limit.Second, even); all < 120 || all > 145 {
				t.Errorf("seed %d: in second %d %d of 100 are admitted, %v by each; want about 133", seed, second, all, by)
			}
		}
	}
}
