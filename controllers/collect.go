package controllers

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/sluice-dev/sluice/enforcer/discovery"
)

// collector asks the enforcers of every pool what they run, notes it on the
// board, and wakes the reconcilers of whose status that changes. It runs on the
// leader only.
type collector struct {
	namespace string
	board     *board
	discover  func(pool, service string) discovery.Source
	ask       func(ctx context.Context, pool string, e discovery.Endpoint, known []string) answer
	now       func() time.Time
	policies  *trigger
	pools     *trigger
	log       logr.Logger
	commands  chan command
}

// command tells the collector to follow a pool or, without a service, to stop.
type command struct{ pool, service string }

// follow makes sure that a pool is followed, and that its enforcers are asked
// now: something was published. It blocks until the collector runs.
func (c *collector) follow(ctx context.Context, pool, service string) {
	select {
	case c.commands <- command{pool, service}:
	case <-ctx.Done():
	}
}

// leave stops following a pool.
func (c *collector) leave(ctx context.Context, pool string) { c.follow(ctx, pool, "") }

// Start implements manager.Runnable: it serves commands until ctx ends.
func (c *collector) Start(ctx context.Context) error {
	type following struct {
		*follower
		service string
		stop    context.CancelFunc
	}
	var running sync.WaitGroup
	defer running.Wait()
	pools := map[string]following{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case cmd := <-c.commands:
			f, known := pools[cmd.pool]
			if known && f.service != cmd.service {
				f.stop()
				delete(pools, cmd.pool)
				known = false
			}
			if !known && cmd.service != "" {
				ctx, stop := context.WithCancel(ctx)
				f = following{c.newFollower(cmd.pool), cmd.service, stop}
				pools[cmd.pool] = f
				running.Go(func() { f.run(ctx, c.discover(cmd.pool, cmd.service)) })
			}
			if cmd.service != "" {
				f.wakeUp()
			}
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (c *collector) NeedLeaderElection() bool { return true }
