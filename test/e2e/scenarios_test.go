//go:build e2e

package e2e

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/load"
)

// traffic is a load: clients that each ask for so many times their limit.
type traffic struct {
	domain  string
	clients int
	limit   load.Limit
	factor  float64
}

// The first load: some clients, so that each enforcer is the home of one, at twice
// their limit.
const (
	clients = 6

	noticed = 750 * time.Millisecond // until others take an enforcer to be down

	warmUp  = 4 * time.Second // from cold, before anything happens
	settle  = 8 * time.Second // after it is over
	longest = 5 * time.Minute
)

var gossiped = traffic{domain: "e2e", clients: clients, limit: load.Limit{PerSecond: 100, Burst: 100}, factor: 2}

// limits are the policies of that load, and of what is beside it.
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
` + quotaPolicy + exactPolicy

// scenario is one thing that happens to a pool under load.
type scenario struct {
	name   string
	goal   goal
	happen func(ctx context.Context, c *cluster) error // returns when it is over
}

// goal is what is to come of it, as parts of 1: calls without an answer at most, what
// is admitted in all at least and at most, above a strict bucket in the worst stretch and
// in all in the lowest one, and what of a quota is used up at most. They are those of
// sharing.md, where the load is one that they are for.
type goal struct {
	failed          float64
	atLeast, atMost float64
	above, least    float64
	quota           float64
	exact           exactGoal
}

var (
	// unnoticed is for what is no concern of decisions.
	unnoticed = goal{failed: 0, atLeast: .99, atMost: 1.01, above: .01, least: .99, quota: 1, exact: toTheRequest}

	// planned is for enforcers that stop because they are told to.
	planned = goal{failed: 0, atLeast: .98, atMost: 1.01, above: .01, least: .98, quota: 1, exact: toTheRequest}

	// crashed is for those that do not have the time to say so: half a second until
	// the others take over, and what is asked of a machine that is lost, until the
	// asker gives up. The heir of a counter is told of it in steps of an eighth.
	crashed = goal{failed: .02, atLeast: .95, atMost: 1.01, above: .01, least: .9, quota: 1.125, exact: ownerLost}

	// split is for a network that falls in two: the larger part goes on as if the smaller
	// one were down, and had been since it is silent; that one keeps its part. Both pay back.
	split = goal{failed: 0, atLeast: .98, atMost: 1 + 1./poolSize, above: (1 + noticed.Seconds()/stretch.Seconds()) / poolSize, least: 0, quota: 1, exact: ownShare}
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
	var used [clients]int
	if err := errors.Join(c.awaitSettled(t.Context(), poolSize), c.spread(t.Context()), c.spend(t.Context(), s.name, spentBefore, &used)); err != nil {
		t.Fatal(err)
	}
	f, unsent := c.during(t, s, gossiped, exact)
	if err := c.spend(t.Context(), s.name, askedAfter, &used); err != nil {
		t.Fatal(err)
	}
	f.quota = farthest(used)
	t.Logf("used of quotas of %d: %v", quota, used)
	r.judge(t, s, &f, unsent)
}

// during offers a load while a scenario happens, and perhaps exact beside it. It returns
// what became of them, and how many calls could not be made.
func (c *cluster) during(t *testing.T, s *scenario, what traffic, beside ...traffic) (f figures, unsent int) {
	c.ready.takeFailures()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	loads := append([]traffic{what}, beside...)
	offered, held, began := c.ready.offer(ctx, loads, s.name), watchMachine(ctx), time.Now()
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
	all := <-offered
	if err != nil {
		t.Fatal(err)
	}
	f = figure(&all[0], &what, from, to)
	if len(beside) > 0 {
		f.addExact(&all[1], from, to)
	}
	f.took, f.held = over-from, <-held
	t.Logf("it began at %.1f s and was over at %.1f s; calls without an answer: %v", from.Seconds(), over.Seconds(), c.ready.takeFailures())
	called, failed := 0, 0
	for i := range all {
		o, l := &all[i], &loads[i]
		t.Logf("%s: %.0f calls a second, latency p50 %v, p99 %v; admitted of what is exact, by second, all and each client:\n%s",
			l.domain, float64(len(o.Answers))/to.Seconds(), o.Latency(.5), o.Latency(.99), bySecond(o, l, to))
		called, failed, unsent = called+o.Failed+len(o.Answers), failed+o.Failed, unsent+o.Unsent
	}
	f.failed = float64(failed) / float64(max(1, called))
	return f, unsent
}

// offer begins with the loads of a scenario. What became of them is told once ctx ended.
func (e *endpoints) offer(ctx context.Context, loads []traffic, scenario string) <-chan []load.Offered {
	offered := make([]load.Offered, len(loads))
	var offering sync.WaitGroup
	for i, what := range loads {
		l := load.Load{Domain: what.domain, Rate: what.factor * what.limit.PerSecond * float64(what.clients), To: e.pick}
		for client := range what.clients {
			l.Clients = append(l.Clients, clientName(scenario, client))
		}
		offering.Go(func() { offered[i] = l.Offer(ctx, longest) })
	}
	all := make(chan []load.Offered, 1)
	go func() {
		offering.Wait()
		all <- offered
	}()
	return all
}

// applyLimits applies the policies of the load and waits until they are in force.
func (c *cluster) applyLimits(t *testing.T) {
	c.apply(t, limits)
	if err := kubectl(t.Context(), "wait", "--for=condition=Ready", "rlp/e2e", "rlp/quota", "rlp/exact", "-n", "shop", "--timeout=90s"); err != nil {
		t.Fatal(err)
	}
}
