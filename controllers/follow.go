package controllers

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/enforcer/discovery"
)

const (
	// calmInterval is the time between two rounds of questions while every enforcer
	// runs what is published; keenInterval is the shortest while somebody does not.
	calmInterval = time.Second
	keenInterval = 50 * time.Millisecond

	// asksAtOnce bounds the questions that are under way in one pool.
	asksAtOnce = 64
)

// follower asks the enforcers of one pool, round by round. A round asks all of
// them and is noted as a whole, so a change that all enforcers load at about the
// same time is one write per policy and not one per enforcer.
type follower struct {
	*collector
	pool    string
	tracker *tracker
	wake    chan struct{}
}

func (c *collector) newFollower(pool string) *follower {
	return &follower{collector: c, pool: pool, tracker: newTracker(), wake: make(chan struct{}, 1)}
}

// wakeUp has the next round begin now. It never blocks.
func (f *follower) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run asks until ctx ends.
func (f *follower) run(ctx context.Context, source discovery.Source) {
	changes := make(chan []discovery.Endpoint)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		err := source.Watch(ctx, func(members []discovery.Endpoint) {
			select {
			case changes <- ready(members):
			case <-ctx.Done():
			}
		})
		if err != nil {
			f.log.Error(err, "Cannot find the enforcers of a pool", "pool", f.pool)
		}
	})

	var (
		members []discovery.Endpoint
		known   bool
		keen    keenness
		timer   = time.NewTimer(calmInterval)
	)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case members = <-changes:
			known, keen = true, keenness{}
		case <-f.wake:
			keen = keenness{}
		case <-timer.C:
		}
		if known {
			lags := f.round(ctx, members)
			timer.Reset(keen.next(f.now(), lags))
		}
	}
}

// round asks every member once and says whether to ask again soon.
func (f *follower) round(ctx context.Context, members []discovery.Endpoint) (lags bool) {
	if j := f.board.of(f.pool).judgment; j != nil {
		f.tracker.learn(j.digest, j.runs)
	}
	answers := f.askAll(ctx, members, f.tracker.known(f.now()))
	if ctx.Err() != nil {
		return false
	}
	o, unsure := f.tracker.observe(f.now(), members, answers)
	policies, changed, digest := f.board.observe(f.pool, o)
	f.policies.pull(policies...)
	if changed {
		f.pools.pull(types.NamespacedName{Namespace: f.namespace, Name: f.pool})
	}
	return unsure || o.lags(digest)
}

func (f *follower) askAll(ctx context.Context, members []discovery.Endpoint, known []string) map[string]answer {
	list := make([]answer, len(members))
	var asking errgroup.Group
	asking.SetLimit(asksAtOnce)
	for i, m := range members {
		asking.Go(func() error {
			list[i] = f.ask(ctx, f.pool, m, known)
			return nil
		})
	}
	_ = asking.Wait() // the functions return no errors: problems are answers
	answers := make(map[string]answer, len(members))
	for i, m := range members {
		answers[m.Name] = list[i]
	}
	return answers
}

// keenness is since when an enforcer lags; zero while none does.
type keenness struct{ since time.Time }

// next returns how long to wait for the next round: the longer somebody lags, the
// longer, so an enforcer that never catches up costs little.
func (k *keenness) next(now time.Time, lags bool) time.Duration {
	if !lags {
		k.since = time.Time{}
		return calmInterval
	}
	if k.since.IsZero() {
		k.since = now
	}
	return min(max(now.Sub(k.since)/4, keenInterval), calmInterval)
}

// ready returns the members that take traffic: those that Programmed speaks of.
func ready(members []discovery.Endpoint) []discovery.Endpoint {
	var list []discovery.Endpoint
	for _, m := range members {
		if m.Ready {
			list = append(list, m)
		}
	}
	return list
}
