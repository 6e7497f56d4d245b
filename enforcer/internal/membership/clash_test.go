package membership

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestClashes(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	type sign struct {
		after time.Duration
		told  bool
	}
	tests := map[string][]sign{
		"a pod that came back elsewhere":       {{0, false}, {time.Second, false}, {2999 * time.Millisecond, false}},
		"two for good":                         {{0, false}, {2 * time.Second, false}, {3 * time.Second, true}},
		"is told once a minute":                {{0, false}, {3 * time.Second, true}, {50 * time.Second, false}, {63 * time.Second, true}},
		"signs far apart are different events": {{0, false}, {61 * time.Second, false}, {64 * time.Second, true}},
	}
	for name, signs := range tests {
		t.Run(name, func(t *testing.T) {
			var c clashes
			for i, s := range signs {
				a, b := at(1), at(2)
				if i%2 == 1 {
					a, b = b, a // both are asked to notice
				}
				err := c.notice("pod-0", a, b, start.Add(s.after))
				if (err != nil) != s.told {
					t.Fatalf("after %v: %v, want told: %v", s.after, err, s.told)
				}
				if err != nil && !strings.Contains(err.Error(), `"pod-0", at 10.0.0.1:7946 and at 10.0.0.2:7946`) {
					t.Errorf("%v: want the name and the addresses", err)
				}
			}
		})
	}
}

func TestClashesAreBounded(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	var c clashes
	for i := range 10 * maxClashes {
		c.notice(fmt.Sprintf("pod-%d", i), at(1), at(2), start)
	}
	if len(c.seen) > maxClashes {
		t.Errorf("%d clashes are watched, want at most %d", len(c.seen), maxClashes)
	}
	if c.notice("new", at(1), at(2), start.Add(2*time.Minute)); len(c.seen) != 1 {
		t.Errorf("%d clashes are watched after two minutes, want the new one", len(c.seen))
	}
}
