package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-dev/sluice/internal/load"
)

// The closed loop: callers that each wait for an answer before they ask again.
const (
	callers     = 64
	connections = 4
	loopWarmUp  = time.Second
	loopFor     = 4 * time.Second
	manyClients = 10_000
	overEvery   = 10 // each so manieth client is over its limit
)

// clientsQuota is generous, but for clients named over-*: those ask many times
// as often as they may, at the 1 to 5 calls a second that each client makes here.
var clientsQuota = quota{
	domain: "clients", requests: 20, per: "1s", seconds: 1, burst: 20,
	over: &quota{requests: 1, per: "4s", seconds: 4, burst: 1},
}

// server is something that the closed loop asks.
type server struct {
	name      string
	processes []*process
	pods      []*pod // the same, where they are enforcers
	conns     []conn
	results   []result
}

// result is one turn of the closed loop.
type result struct {
	perDecision time.Duration // CPU of the server's processes
	perSecond   float64
	denied      float64 // part of the answers
	median, p99 time.Duration
	sent        gossip // a second, by an enforcer
}

// newServer connects by connect to the addresses in turn until there are enough
// connections.
func newServer(name string, all []*process, addresses []string, connect func(string) (conn, error)) (*server, error) {
	s := &server{name: name, processes: all}
	for i := range connections {
		c, err := connect(addresses[i%len(addresses)])
		if err != nil {
			return nil, err
		}
		s.conns = append(s.conns, c)
	}
	return s, nil
}

// newPoolServer is newServer for enforcers.
func newPoolServer(name string, pods []*pod) (*server, error) {
	var addresses []string
	for _, p := range pods {
		addresses = append(addresses, p.rls)
	}
	s, err := newServer(name, processes(pods), addresses, dial)
	if err != nil {
		return nil, err
	}
	s.pods = pods
	return s, nil
}

// comparison is what enforcers are compared with: servers that decide nothing.
type comparison struct {
	name    string
	servers int
	env     []string
}

// comparisons has the one that the goal is about first, and then what is fairer in
// more and more respects.
var comparisons = []comparison{
	{"one server that decides nothing", 1, nil},
	{"three servers that decide nothing", 3, nil},
	{"three of those on one core each, as the enforcers", 3, asInAPod},
}

// decisionCost compares the CPU of a decision of three enforcers with that of
// servers that decide nothing, and get the same connections.
func decisionCost(s *stage, t *tabwriter.Writer) (met bool, err error) {
	pods, err := s.startPool(3, []quota{clientsQuota})
	if err != nil {
		return false, err
	}
	defer stopPool(pods)
	pool, err := newPoolServer("three enforcers, 10k clients, a tenth over their limit", pods)
	if err != nil {
		return false, err
	}
	servers := []*server{pool}
	for _, c := range comparisons {
		all, addresses, err := s.startNothing(c.servers, c.env)
		if err != nil {
			return false, err
		}
		defer stop(all)
		one, err := newServer(c.name, all, addresses, dial)
		if err != nil {
			return false, err
		}
		servers = append(servers, one)
	}
	if err := s.takeTurns(servers, 1); err != nil {
		return false, err
	}
	printCPU(t, servers)
	return printRatios(t, servers, fmt.Sprintf("≤ %.1f", mostRatio)), nil
}

// takeTurns asks the servers in turn, so that what else the machine does hits
// all of them. The first so many count: their first turn, which makes 10,000
// counters, does not.
func (s *stage) takeTurns(servers []*server, counting int) error {
	requests := make([]*rlsv3.RateLimitRequest, manyClients)
	for i := range requests {
		name := fmt.Sprintf("client-%d", i)
		if i%overEvery == 0 {
			name = fmt.Sprint(overPrefix, i)
		}
		requests[i] = load.Call(clientsQuota.domain, name)
	}
	for _, one := range servers[:counting] {
		if _, err := s.turn(one, requests); err != nil {
			return err
		}
	}
	for round := range s.opts.rounds {
		for _, one := range servers {
			r, err := s.turn(one, requests)
			if err != nil {
				return err
			}
			one.results = append(one.results, r)
			s.say("round %d, %s: %.1f µs, %.0f/s, %.1f %% denied, p50 %s p99 %s ms, load %s", round+1, one.name,
				micros(r.perDecision), r.perSecond, 100*r.denied, millis(r.median), millis(r.p99), loadAverage())
		}
	}
	return nil
}

// loop is one turn of the closed loop: callers that run until ctx ends.
type loop struct {
	ctx      context.Context // a loop is one call of turn
	server   *server
	requests []*rlsv3.RateLimitRequest

	measuring        atomic.Bool
	answered, denied atomic.Int64

	mu        sync.Mutex // guards latencies
	latencies []time.Duration
}

// call asks one call after the other, and returns when a call fails or the loop
// ends.
func (l *loop) call(caller int) error {
	random := rand.New(rand.NewPCG(uint64(caller), 3))
	conn := l.server.conns[caller%len(l.server.conns)]
	var took []time.Duration
	for {
		var got rlsv3.RateLimitResponse
		began := time.Now()
		admitted, err := load.Ask(l.ctx, conn, l.requests[random.IntN(len(l.requests))], &got)
		switch {
		case l.ctx.Err() != nil:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.latencies = append(l.latencies, took...)
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", l.server.name, err)
		case l.measuring.Load():
			took = append(took, time.Since(began))
			l.answered.Add(1)
			if !admitted {
				l.denied.Add(1)
			}
		}
	}
}

// turn asks a server in a closed loop for loopWarmUp and loopFor.
func (s *stage) turn(one *server, requests []*rlsv3.RateLimitRequest) (r result, err error) {
	ctx, end := context.WithCancel(s.ctx)
	defer end()
	running, ctx := errgroup.WithContext(ctx)
	l := &loop{ctx: ctx, server: one, requests: requests}
	for i := range callers {
		running.Go(func() error { return l.call(i) })
	}
	measured := s.measureLoop(l, &r)
	end()
	if err := errors.Join(running.Wait(), measured); err != nil {
		return r, err
	}
	slices.Sort(l.latencies)
	r.median, r.p99 = l.latencies[len(l.latencies)/2], l.latencies[len(l.latencies)*99/100]
	return r, nil
}

// measureLoop waits for loopWarmUp, and takes the figures of loopFor.
func (s *stage) measureLoop(l *loop, r *result) error {
	if err := s.wait(loopWarmUp); err != nil {
		return err
	}
	sentBefore, err := gossipOf(l.server.pods)
	if err != nil {
		return err
	}
	before, err := cpuOf(l.server.processes)
	if err != nil {
		return err
	}
	began := time.Now()
	l.measuring.Store(true)
	if err := s.wait(loopFor); err != nil {
		return err
	}
	n, denied, lasted := l.answered.Load(), l.denied.Load(), time.Since(began)
	after, err := cpuOf(l.server.processes)
	if err != nil {
		return err
	}
	sent, err := gossipOf(l.server.pods)
	if err != nil {
		return err
	}
	r.sent, _ = rates(sentBefore, sent, lasted)
	if n == 0 {
		return fmt.Errorf("%s answered nothing in %v", l.server.name, lasted)
	}
	r.perDecision, r.perSecond, r.denied = (after-before)/time.Duration(n), float64(n)/lasted.Seconds(), float64(denied)/float64(n)
	return nil
}

// printCPU prints the medians of all turns.
func printCPU(t *tabwriter.Writer, servers []*server) {
	for _, one := range servers {
		cpu, rate, slow := median(one.results, perDecision),
			median(one.results, func(r result) float64 { return r.perSecond }),
			median(one.results, func(r result) float64 { return float64(r.p99) })
		line(t, "CPU of a decision: "+one.name, fmt.Sprintf("%.1f µs (%.0f/s, p99 %s ms)", cpu, rate, millis(time.Duration(slow))), "", true)
	}
}

// printRatios prints the ratio of the first server to the others, of which the first
// has a goal, and returns whether that was met.
func printRatios(t *tabwriter.Writer, servers []*server, goal string) (met bool) {
	for i, one := range servers[1:] {
		ratio := median(servers[0].results, perDecision) / median(one.results, perDecision)
		if i == 0 {
			met = ratio <= mostRatio
		} else {
			goal = ""
		}
		line(t, "ratio to "+one.name, fmt.Sprintf("%.2f", ratio), goal, met)
	}
	return met
}

func perDecision(r result) float64 { return micros(r.perDecision) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// median is the middle of one figure of the results, the mean of two for an even
// number.
func median[R any](all []R, of func(R) float64) float64 {
	figures := make([]float64, len(all))
	for i, r := range all {
		figures[i] = of(r)
	}
	slices.Sort(figures)
	half := len(figures) / 2
	if len(figures)%2 == 0 {
		return (figures[half-1] + figures[half]) / 2
	}
	return figures[half]
}
