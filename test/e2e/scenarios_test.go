//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/load"
)

// The load: some clients, so that each enforcer is the home of one, at twice
// their limit.
const (
	domain  = "e2e"
	clients = 6
	factor  = 2

	warmUp  = 4 * time.Second // from cold, before anything happens
	settle  = 8 * time.Second // after it is over
	longest = 5 * time.Minute
)

var limit = load.Limit{PerSecond: 100, Burst: 100}

// limits is the policy of that load.
const limits = `apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: e2e, namespace: shop}
spec:
  domain: e2e
  limits:
  - name: per-client
    key: ["descriptor['client']"]
    rate: {requests: 100, per: 1s}
    burst: 100
`

// scenario is one thing that happens to a pool under load.
type scenario struct {
	name   string
	goal   goal
	happen func(ctx context.Context, c *cluster) error // returns when it is over
}

// goal is what is to come of it, as parts of 1: calls without an answer at most, what
// is admitted in all at least and at most, and in the worst and the lowest stretch.
type goal struct {
	failed          float64
	atLeast, atMost float64
	most, least     float64
}

// allowance is what a machine adds that runs all nodes, the load and perhaps a
// compiler on two cores: answers come late and together. Only what is farther from
// its goal than that fails the test; the table tells all that is. A limit that was
// reset, or kept twice, is far beyond.
var allowance = goal{failed: .03, atLeast: .1, atMost: .03, most: .35, least: .2}

var (
	// unnoticed is for what is no concern of decisions.
	unnoticed = goal{failed: 0, atLeast: .99, atMost: 1.01, most: 1.01, least: .99}

	// planned is for enforcers that stop because they are told to.
	planned = goal{failed: 0, atLeast: .98, atMost: 1.01, most: 1.01, least: .98}

	// crashed is for those that do not have the time to say so: half a second until
	// the others take over, and what is asked of a machine that is lost, until the
	// asker gives up.
	crashed = goal{failed: .02, atLeast: .95, atMost: 1.01, most: 1.01, least: .9}

	// split is for a network that falls in two: the larger part goes on as if the
	// smaller one were down, and that one keeps its part. Both pay back.
	split = goal{failed: 0, atLeast: .98, atMost: 1 + 1./poolSize, most: 1 + 1./poolSize, least: 0}
)

// scenarios are in the order that they are run in. Each leaves the pool as it found
// it.
var scenarios = []scenario{
	{"nothing", unnoticed, func(ctx context.Context, _ *cluster) error { return wait(ctx, away) }},
	{"kill -9 of an enforcer", crashed, killEnforcer},
	{"rolling restart", planned, rollingRestart},
	{"scale 3, 6, 2, 3", planned, scaleUpAndDown},
	{"network split, 1 from 2", split, splitNetwork},
	{"API server down", unnoticed, stopAPIServer},
	{"manager down", unnoticed, stopManager},
	{"node lost", crashed, loseNode},
}

// run offers the load, lets it happen, and judges.
func (c *cluster) run(t *testing.T, s *scenario, r *results) {
	if err := errors.Join(c.awaitSettled(t.Context(), poolSize), c.spread(t.Context())); err != nil {
		t.Fatal(err)
	}
	l := load.Load{Domain: domain, Rate: factor * limit.PerSecond * clients, To: c.ready.pick}
	for i := range clients {
		l.Clients = append(l.Clients, fmt.Sprintf("%s %d", s.name, i))
	}
	c.ready.takeFailures()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	offered, began := make(chan load.Offered, 1), time.Now()
	go func() { offered <- l.Offer(ctx, longest) }()
	err := wait(ctx, warmUp)
	from := time.Since(began)
	if err == nil {
		err = s.happen(ctx, c)
	}
	over := time.Since(began)
	if err == nil {
		err = wait(ctx, settle)
	}
	to := time.Since(began)
	stop()
	o := <-offered
	if err != nil {
		t.Fatal(err)
	}
	f := figure(&o, from, to)
	f.took = over - from
	r.lines = append(r.lines, line{s, f})
	t.Logf("it began at %.1f s and was over at %.1f s; latency p50 %v, p99 %v; admitted of what is exact, by second, all and each client:\n%scalls without an answer: %v",
		from.Seconds(), over.Seconds(), o.Latency(.5), o.Latency(.99), bySecond(&o, to), c.ready.takeFailures())
	if failed := f.outside(s.goal, allowance); len(failed) > 0 || o.Unsent > 0 {
		t.Errorf("beyond what a busy machine explains: %v; %d calls could not be made", failed, o.Unsent)
	}
}

// applyLimits applies the policy of the load and waits until it is in force.
func (c *cluster) applyLimits(t *testing.T) {
	ctx := t.Context()
	if _, err := command(ctx, limits, "kubectl", "apply", "--server-side", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if err := kubectl(ctx, "wait", "--for=condition=Ready", "rlp/e2e", "-n", "shop", "--timeout=30s"); err != nil {
		t.Fatal(err)
	}
}
