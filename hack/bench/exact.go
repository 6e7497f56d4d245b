package main

import (
	"fmt"
	"text/tabwriter"
	"time"
)

const leastLocal = .9 // of the decisions of a hot key, without a hop

// hotCost measures how many decisions of one key, asked for at ten times its limit at
// ten enforcers, are made without asking its owner.
func hotCost(s *stage, t *tabwriter.Writer) (met bool, err error) {
	main, _, _, _ := s.opts.quotas()
	main = main.shared("hot", exactSharing)
	pods, err := s.startPool(bigPool, []quota{main})
	if err != nil {
		return false, err
	}
	defer stopPool(pods)
	before, err := askedOf(pods)
	if err != nil {
		return false, err
	}
	sent, err := gossipOf(pods)
	if err != nil {
		return false, err
	}
	began := time.Now()
	c := scenario{name: "hot", quota: main, clients: 1, factor: 10, spread: uniform}
	f, err := s.try(pods, &c, 1)
	if err != nil {
		return false, err
	}
	after, err := askedOf(pods)
	if err != nil {
		return false, err
	}
	sentAfter, err := gossipOf(pods)
	if err != nil {
		return false, err
	}
	local := after.localSince(before)
	met = local >= leastLocal && f.offered >= .9
	line(t, "decisions of a hot key without a hop, ten enforcers at 10x", fmt.Sprintf("%s (%.0f %% offered, %s)", percent(local), 100*f.offered, f.accuracy()), "≥ 90 %", met)
	mean, most := rates(sent, sentAfter, time.Since(began))
	line(t, "gossip that each sends of it, mean (worst)", fmt.Sprintf("%.1f (%.1f) KB/s in %.0f frames/s", mean.bytes/1e3, most.bytes/1e3, mean.frames), "", true)
	return met, nil
}

// asked is how enforcers decided what is shared exactly.
type asked struct{ decisions, waits float64 }

// localSince returns the part of the decisions since before that did not wait for the
// owner of the key.
func (a asked) localSince(before asked) float64 {
	return 1 - (a.waits-before.waits)/(a.decisions-before.decisions)
}

func askedOf(pods []*pod) (sum asked, err error) {
	for _, p := range pods {
		if err := p.sum(map[string]*float64{"sluice_exact_decisions_total": &sum.decisions, "sluice_exact_waits_total": &sum.waits}); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// rival is a pool that part exact compares with others.
type rival struct {
	*server
	pods  []*pod
	goals string // "" for none
}

// exactCost compares three enforcers that share exactly with three that gossip, with
// gubernator if there is one, and with a server that decides nothing: the CPU of a
// decision, and what they admit.
func exactCost(s *stage, t *tabwriter.Writer) (met bool, err error) {
	main, _, low, _ := s.opts.quotas()
	quotas := []quota{clientsQuota, main, low}
	var rivals []rival
	for _, r := range []struct{ sharing, goals string }{{exactSharing, "≥ 98 %, beyond 0"}, {"Gossip", ""}} {
		for i := range quotas {
			quotas[i].sharing = r.sharing
		}
		pods, err := s.startPool(3, quotas)
		if err != nil {
			return false, err
		}
		defer stopPool(pods)
		one, err := newPoolServer("three enforcers, sharing: "+r.sharing, pods)
		if err != nil {
			return false, err
		}
		rivals = append(rivals, rival{one, pods, r.goals})
	}
	if len(s.opts.gubernator) > 0 {
		r, err := s.gubernator(quotas)
		if err != nil {
			return false, err
		}
		rivals = append(rivals, r)
	}
	if err := s.compareCPU(t, rivals); err != nil {
		return false, err
	}
	return s.compareAccuracy(t, rivals, []scenario{
		{name: fmt.Sprintf("%d/s 3x even", main.requests), quota: main, clients: 1, factor: 3, spread: uniform},
		{name: "20/s 10x skewed", quota: low, clients: 10, factor: 10, spread: skewed},
	})
}

// compareCPU prints the CPU of a decision of the rivals of which the processes are
// known, and of a server that decides nothing.
func (s *stage) compareCPU(t *tabwriter.Writer, rivals []rival) error {
	var servers []*server
	for _, r := range rivals {
		if len(r.processes) > 0 {
			servers = append(servers, r.server)
		}
	}
	nothing, addresses, err := s.startNothing(1, nil)
	if err != nil {
		return err
	}
	defer stop(nothing)
	one, err := newServer(comparisons[0].name, nothing, addresses, dial)
	if err != nil {
		return err
	}
	servers = append(servers, one)
	before, err := askedOf(rivals[0].pods)
	if err != nil {
		return err
	}
	if err := s.takeTurns(servers, len(servers)-1); err != nil {
		return err
	}
	after, err := askedOf(rivals[0].pods)
	if err != nil {
		return err
	}
	printCPU(t, servers)
	printRatios(t, servers, "")
	line(t, "decisions without a hop: "+rivals[0].name, percent(after.localSince(before)), "", true)
	for _, one := range servers {
		if len(one.pods) > 0 {
			line(t, "sent by each: "+one.name, fmt.Sprintf("%.1f KB/s in %.0f frames/s", median(one.results, sentBytes)/1e3, median(one.results, sentFrames)), "", true)
		}
	}
	return nil
}

func sentBytes(r result) float64  { return r.sent.bytes }
func sentFrames(r result) float64 { return r.sent.frames }

// compareAccuracy prints what the rivals admit of the same calls.
func (s *stage) compareAccuracy(t *tabwriter.Writer, rivals []rival, scenarios []scenario) (met bool, err error) {
	met = true
	for i := range scenarios {
		for _, r := range rivals {
			c := scenarios[i]
			if r.goals != "" {
				c.quota.sharing = exactSharing
			}
			f, err := s.try(r.pods, &c, 1)
			if err != nil {
				return false, err
			}
			ok := r.goals == "" || f.met(&c)
			met = met && ok
			line(t, fmt.Sprintf("admitted, %s: %s", c.name, r.name), f.accuracy(), r.goals, ok)
		}
	}
	return met, nil
}

// accuracy tells the figures in short.
func (f *figures) accuracy() string {
	return fmt.Sprintf("%s of exact, worst 10 s %s, beyond exact %d (%.1f), p50 / p99 %s / %s ms", percent(f.exact), percent(f.window), f.beyond, f.debt, millis(f.median), millis(f.slow))
}
