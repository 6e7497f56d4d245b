package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-dev/sluice/internal/load"
)

// accuracy runs every scenario on pools of every size and prints the table. It
// returns whether all goals were met.
func accuracy(s *stage) (met bool, err error) {
	chosen := func(c *scenario, size int) bool {
		return s.opts.only.MatchString(c.name) && (c.only == 0 || c.only == size)
	}
	all := s.opts.scenarios()
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	defer func() { _ = t.Flush() }()
	if s.opts.list {
		for i := range all {
			fmt.Fprintln(t, all[i].name)
		}
		return true, nil
	}
	fmt.Fprintln(t, "pods\tscenario\toffered\tto limit\tto exact\tgoal\tworst 10 s\tgoal\tbeyond exact\tgoal\trefused\tp50 / p99 ms\tload\t")
	met = true
	for _, size := range s.opts.sizes {
		pods, err := s.startAccuracyPool(size)
		if err != nil {
			return false, err
		}
		for i := range all {
			if c := &all[i]; chosen(c, size) {
				ok, err := s.scenario(t, &pods, c)
				if err != nil {
					return false, err
				}
				met = met && ok
			}
		}
		stopPool(pods)
	}
	return met, nil
}

func (s *stage) startAccuracyPool(size int) ([]*pod, error) {
	main, share, low, lowest := s.opts.quotas()
	return s.startPool(size, []quota{main, share, low, lowest})
}

// scenario runs one scenario, again if it misses its goal, and prints its line.
// After a crash there is a new pool.
func (s *stage) scenario(t *tabwriter.Writer, pods *[]*pod, c *scenario) (met bool, err error) {
	for try := 1; ; try++ {
		f, err := s.try(*pods, c, try)
		if err != nil {
			return false, err
		}
		met = f.met(c)
		verdict := "ok"
		if !met {
			verdict = "MISSED"
		}
		s.say("%d pods, %s: offered %.0f %%, to limit %s, to exact %s, worst window %s, beyond exact %d (by answers %.1f), refused %d, failed %d: %s",
			len(*pods), c.name, 100*f.offered, percent(f.steady), percent(f.exact), percent(f.window), f.beyond, f.debt, f.refused, f.failed, verdict)
		printLine(t, len(*pods), c, &f, try, verdict)
		if c.crash > 0 {
			stopPool(*pods)
			if *pods, err = s.startAccuracyPool(len(*pods)); err != nil {
				return false, err
			}
		}
		if met || try >= s.opts.tries {
			return met, nil
		}
	}
}

// try offers the load once, with clients that nobody has seen yet.
func (s *stage) try(pods []*pod, c *scenario, try int) (figures, error) {
	warmUp := max(c.warmUp, s.opts.warmUp)
	l := load.Load{Domain: c.quota.domain, Rate: c.factor * c.quota.perSecond() * float64(c.clients), Even: c.kind == under}
	for i := range c.clients {
		l.Clients = append(l.Clients, fmt.Sprintf("%s %d %d", c.name, try, i))
	}
	alive, from := pods, warmUp
	l.To = func(r *rand.Rand, at time.Duration, client int) grpc.ClientConnInterface {
		if c.crash > 0 && at > warmUp+c.crash && len(alive) == len(pods) {
			alive = pods[:len(pods)-1] // which take its calls, as a balancer would have it
			pods[len(alive)].kill()
			from = at + c.goals().back
		}
		return alive[c.spread(r, at, client, len(alive))].conn
	}
	lasting := warmUp + max(c.measure, s.opts.measure)
	o := l.Offer(s.ctx, lasting)
	if err := s.ctx.Err(); err != nil {
		return figures{}, err
	}
	for _, p := range alive {
		if err := p.failed(); err != nil {
			return figures{}, err
		}
	}
	return c.figure(&o, from, lasting), nil
}

func printLine(t *tabwriter.Writer, pods int, c *scenario, f *figures, try int, verdict string) {
	g := c.goals()
	steady, exact, goal, refused := percent(f.steady), percent(f.exact), g.steady(), "-"
	if c.kind == under {
		steady, exact, goal, refused = "-", "-", "-", strconv.Itoa(f.refused)
	}
	name := c.name
	if try > 1 {
		name += fmt.Sprintf(" (try %d)", try)
	}
	if c.kind == recovery {
		verdict += fmt.Sprintf(", worst 2 s %s", percent(f.worstAfterKill))
	}
	fmt.Fprintf(t, "%d\t%s\t%.0f %%\t%s\t%s\t%s\t%s\t%.0f %%\t%d (%.1f)\t%s\t%s\t%s / %s\t%s\t%s\n", pods, name, 100*f.offered, steady, exact, goal,
		percent(f.window), 100*g.window, f.beyond, f.debt, mostCalls(g.beyond), refused, millis(f.median), millis(f.slow), loadAverage(), verdict)
}

func percent(part float64) string { return fmt.Sprintf("%.2f %%", 100*part) }

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }
