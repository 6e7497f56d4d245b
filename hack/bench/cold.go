package main

import (
	"fmt"
	"math/rand/v2"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-dev/sluice/internal/load"
)

const (
	coldFor   = 3 * time.Second
	mostAdded = time.Millisecond // to the p99 of a decision, by asking a key's owner
)

// coldRates are the calls a second at which keys come that nobody has seen.
var coldRates = []float64{500, 5000}

// coldQuota is far away: each client asks once.
var coldQuota = quota{requests: 1000, per: "1s", seconds: 1, burst: 1000}

// latencies are those of one turn.
type latencies struct{ median, p99 time.Duration }

// coldCost measures what the hop to its owner adds to the first decision of a key:
// how much longer it takes where a limit is shared exactly than where it is gossiped
// of, in turns, of the same enforcers.
func coldCost(s *stage, t *tabwriter.Writer) (met bool, err error) {
	met = true
	for _, size := range []int{3, bigPool} {
		ok, err := s.coldPool(t, size)
		if err != nil {
			return false, err
		}
		met = met && ok
	}
	return met, nil
}

func (s *stage) coldPool(t *tabwriter.Writer, size int) (met bool, err error) {
	quotas := []quota{coldQuota.shared("gossip", ""), coldQuota.shared("exact", exactSharing)}
	pods, err := s.startPool(size, quotas)
	if err != nil {
		return false, err
	}
	defer stopPool(pods)
	met = true
	for _, rate := range coldRates {
		took := make([][]latencies, len(quotas))
		for round := range s.opts.rounds + 1 {
			for i, q := range quotas {
				l, err := s.cold(pods, q, rate, round)
				if err != nil {
					return false, err
				}
				if round > 0 { // before that, connections are made
					took[i] = append(took[i], l)
				}
			}
		}
		ok := printCold(t, fmt.Sprintf("%d enforcers, %.0f/s", size, rate), took[0], took[1])
		met = met && ok
	}
	return met, nil
}

// cold offers calls of clients that each ask once.
func (s *stage) cold(pods []*pod, q quota, rate float64, round int) (latencies, error) {
	l := load.Load{Domain: q.domain, Rate: rate, Even: true}
	for i := range int(1.2 * rate * coldFor.Seconds()) {
		l.Clients = append(l.Clients, fmt.Sprint(rate, round, "-", i))
	}
	l.To = func(r *rand.Rand, _ time.Duration, _ int) grpc.ClientConnInterface {
		return pods[r.IntN(len(pods))].conn
	}
	o := l.Offer(s.ctx, coldFor)
	if err := s.ctx.Err(); err != nil {
		return latencies{}, err
	}
	if n := o.Failed + o.Unsent + o.Refused(); n > 0 || len(o.Answers) == 0 {
		return latencies{}, fmt.Errorf("%d of %d clients were not admitted at their first call: see the logs in %s", n, n+len(o.Answers), s.dir)
	}
	got := latencies{o.Latency(.5), o.Latency(.99)}
	s.say("%d enforcers, %s, %.0f/s: p50 %s p99 %s ms, load %s", len(pods), q.domain, rate, millis(got.median), millis(got.p99), loadAverage())
	return got, nil
}

// printCold prints the medians of all rounds, and the goal.
func printCold(t *tabwriter.Writer, what string, gossip, exact []latencies) (met bool) {
	p50, p99 := func(l latencies) float64 { return float64(l.median) }, func(l latencies) float64 { return float64(l.p99) }
	added := func(of func(latencies) float64) time.Duration {
		return time.Duration(median(exact, of) - median(gossip, of))
	}
	met = added(p99) <= mostAdded
	line(t, "added to a key's first decision: "+what, fmt.Sprintf("p50 %s, p99 %s ms (to %s, %s ms)", millis(added(p50)), millis(added(p99)),
		millis(time.Duration(median(gossip, p50))), millis(time.Duration(median(gossip, p99)))), fmt.Sprintf("p99 ≤ %s ms", millis(mostAdded)), met)
	return met
}
