package engine_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

func named(name string) policy.Name {
	return policy.Name{Namespace: "shop", Policy: "web", Limit: name}
}

func TestLook(t *testing.T) {
	exceptional := perClient("client", 10, "1s", 5)
	exceptional.Overrides = []policy.Override{{Key: []string{"banned"}, Deny: true}, {Key: []string{"free"}, Unlimited: true}, {Key: []string{"big*"}, Rate: &policy.Rate{Requests: 100, Per: "1s"}}}
	e := newEngine(t, compile(t, exceptional, total("all", 1000, "1s")))
	admitted(e, start, client("a"), 2)
	admitted(e, start, client("big one"), 30)
	for _, c := range []struct {
		limit string
		key   []string
		want  string
	}{
		{"client", []string{"a"}, "3 of 5, full in 200ms"},
		{"client", []string{"big one"}, "70 of 100, full in 300ms"},
		{"client", []string{"unseen"}, "5 of 5, full in 0s"},
		{"client", []string{"banned"}, "denied"},
		{"client", []string{"free"}, "unlimited"},
		{"all", nil, "968 of 1000, full in 32ms"},
		{"client", nil, "no such counter"},
		{"client", []string{"a", "b"}, "no such counter"},
		{"other", []string{"a"}, "no such counter"},
	} {
		for range 2 { // looking changes nothing
			if got := looked(e, start, c.limit, c.key...); got != c.want {
				t.Errorf("%s of limit %s: %s, want %s", c.key, c.limit, got, c.want)
			}
		}
	}
	if got := looked(newEngine(t, nil), start, "client", "a"); got != "no such counter" {
		t.Errorf("before the first policy: %s", got)
	}
}

// looked writes what Look says.
func looked(e *engine.Engine, now limit.Instant, name string, key ...string) string {
	c, reading, ok := e.Look(now, named(name), key)
	switch {
	case !ok:
		return "no such counter"
	case c.Deny:
		return "denied"
	case c.Unlimited:
		return "unlimited"
	}
	return fmt.Sprintf("%d of %d, full in %v", reading.Remaining, c.Quota.Burst, reading.ResetAfter.Duration())
}

func TestFill(t *testing.T) {
	shadow := perClient("shadow", 1, "1h", 3)
	shadow.Mode, shadow.Overrides = policy.Shadow, []policy.Override{{Key: []string{"banned"}, Deny: true}}
	e := newEngine(t, compile(t, perClient("client", 1, "1h", 5), shadow))
	if got := admitted(e, start, client("a"), 8); got != 5 {
		t.Fatalf("%d admitted, want 5", got)
	}
	for range 2 { // of a full counter nothing is given back
		if _, ok := e.Fill(start, named("client"), []string{"a"}); !ok {
			t.Fatal("there is no such counter")
		}
	}
	if got := looked(e, start, "shadow", "a"); got != "0 of 3, full in 3h0m0s" {
		t.Errorf("another limit of the client has %s", got)
	}
	if got := admitted(e, start, client("a"), 8); got != 5 {
		t.Errorf("%d admitted of a full counter, want 5", got)
	}
	if c, ok := e.Fill(start, named("shadow"), []string{"banned"}); !ok || !c.Deny {
		t.Errorf("a client without a counter: %+v, %v", c, ok)
	}
	if _, ok := e.Fill(start, named("other"), []string{"a"}); ok {
		t.Error("a limit that there is not was filled")
	}
}

// When all nodes have filled a counter the pool admits one burst more, wherever
// the client goes; be the counter spread, used up at one node, or known to few.
func TestAPoolFillsACounter(t *testing.T) {
	even, one := []float64{1, 1, 1}, []float64{1, 0, 0}
	for name, c := range map[string]struct {
		limit         policy.Limit
		requests      float64 // per second, for 3 s
		before, after []float64
	}{
		"used up everywhere":           {perClient("client", 60, "1h", 60), 100, even, even},
		"used up at one node":          {perClient("client", 60, "1h", 60), 100, one, even},
		"used up everywhere, then one": {perClient("client", 60, "1h", 60), 100, even, one},
		"used up and asked for at one": {perClient("client", 60, "1h", 60), 100, []float64{0, 0, 1}, []float64{0, 0, 1}},
		"a part of it at one node":     {perClient("client", 60, "1h", 60), 3, one, even},
		"a window":                     {policy.Limit{Name: "client", Key: perClient("", 1, "", 0).Key, Algorithm: policy.FixedWindow, Rate: policy.Rate{Requests: 60, Per: "8784h"}}, 100, even, even},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				p := newPool(t, seed, 3, lan, compile(t, c.limit))
				used, _ := p.offer(client("a"), c.requests, 3*limit.Second, c.before)
				for i, e := range p.nodes {
					if _, ok := e.Fill(p.Now(), named("client"), []string{"a"}); !ok {
						t.Fatal("there is no such counter")
					}
					p.Run(20 * limit.Millisecond)
					if got := looked(e, p.Now(), "client", "a"); got[:5] != "60 of" && got[:5] != "59 of" { // a part of a token may be on its way
						t.Errorf("node %d has %s", i, got)
					}
				}
				p.Run(100 * limit.Millisecond) // until the home has heard of all
				got, _ := p.offer(client("a"), 100, 2*limit.Second, c.after)
				if got < 59 || got > 66 { // more is what came in while word of it travelled
					t.Errorf("seed %d: %d admitted of a full counter, want 60 or hardly more; %d were before", seed, got, used)
				}
			}
		})
	}
}

// What a node took that does not fill the counter, as one that is gone, is given
// back by any of the others.
func TestAPoolFillsWhatAnotherNodeTook(t *testing.T) {
	for seed := range uint64(5) {
		p := newPool(t, seed, 5, lan, compile(t, perClient("client", 600, "1h", 600)))
		used, _ := p.offer(client("a"), 20, 3*limit.Second, []float64{1, 0, 0, 0, 0})
		p.Run(limit.Second) // until all of it is told
		p.nodes[4].Fill(p.Now(), named("client"), []string{"a"})
		p.Run(limit.Second)
		if got, _ := p.offer(client("a"), 1000, 3*limit.Second, []float64{0, 1, 1, 1, 1}); got < 590 || got > 630 {
			t.Errorf("seed %d: %d admitted of a full counter, want 600; %d were before", seed, got, used)
		}
	}
}
