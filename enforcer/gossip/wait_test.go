package gossip_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// What changes nobody's decisions waits for others to share a frame with; what
// does goes at once, and takes along what waits.
func TestEntriesShareAFrame(t *testing.T) {
	const due = 33 * 20 * limit.Millisecond // 33 tokens may be taken without a word
	for _, c := range []struct {
		name    string
		flash   bool // of another counter, when three reports wait
		after   limit.Span
		entries int
	}{
		{"far from the limit", false, due + share.CalmWait, 3},
		{"one near it", true, due + 3*limit.Millisecond, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newJoined(t)
			for at := limit.Span(0); at < 2*due; at += limit.Millisecond {
				now := start.Add(at)
				if i := int(at / limit.Millisecond % 20); i < 3 { // each counter 50 a second
					n.counters.take(now, keysFor("b", i), daily, 1)
				}
				if c.flash && at == c.after {
					n.counters.take(now, keysFor("b", 3), daily, 600)
				}
				n.Tick(now, &n.out)
				if got := n.out.entries(t)["b"]; len(got) > 0 {
					if at != c.after || len(got) != c.entries {
						t.Errorf("%d entries after %v, want %d after %v", len(got), at.Duration(), c.entries, c.after.Duration())
					}
					return
				}
			}
			t.Error("nothing was sent")
		})
	}
}
