package main

import (
	"fmt"
	"slices"
	"text/tabwriter"
	"time"
)

// The goals of cost.
const (
	mostRatio  = 1.3  // of the CPU of a decision to that of a server that decides nothing
	mostIdle   = .01  // of a core, for an enforcer of an idle pool of ten
	mostGossip = 50e3 // bytes a second that an enforcer of ten sends with 10,000 busy keys
	idleFor    = 10 * time.Second
	bigPool    = 10
)

// cost measures what a pool uses, and returns whether all goals were met.
func cost(s *stage) (met bool, err error) {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	defer func() { _ = t.Flush() }()
	fmt.Fprintln(t, "what\tmeasured\tgoal\tload\t")
	parts := []struct {
		name string
		run  func(*stage, *tabwriter.Writer) (bool, error)
	}{{"decision", decisionCost}, {"idle", idleCost}, {"gossip", gossipCost}, {"cold", coldCost}, {"hot", hotCost}, {"exact", exactCost}}
	met = true
	for _, part := range parts {
		if !slices.Contains(s.opts.parts, part.name) {
			continue
		}
		ok, err := part.run(s, t)
		if err != nil {
			return false, err
		}
		met = met && ok
	}
	return met, nil
}

// line prints a figure beside its goal; no goal is an empty one.
func line(t *tabwriter.Writer, what, measured, goal string, ok bool) {
	verdict := ""
	switch {
	case goal == "":
	case ok:
		verdict = "ok"
	default:
		verdict = "MISSED"
	}
	fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", what, measured, goal, loadAverage(), verdict)
}

// idleCost measures the CPU of ten enforcers that nobody asks.
func idleCost(s *stage, t *tabwriter.Writer) (met bool, err error) {
	pods, err := s.startPool(bigPool, []quota{clientsQuota})
	if err != nil {
		return false, err
	}
	defer stopPool(pods)
	if err := s.wait(3 * time.Second); err != nil {
		return false, err
	}
	before := make([]time.Duration, len(pods))
	for i, p := range pods {
		if before[i], err = p.cpu(); err != nil {
			return false, err
		}
	}
	bytes, err := gossipOf(pods)
	if err != nil {
		return false, err
	}
	began := time.Now()
	if err := s.wait(idleFor); err != nil {
		return false, err
	}
	var worst, total float64
	for i, p := range pods {
		after, err := p.cpu()
		if err != nil {
			return false, err
		}
		part := float64(after-before[i]) / float64(time.Since(began))
		worst, total = max(worst, part), total+part
	}
	said, err := gossipOf(pods)
	if err != nil {
		return false, err
	}
	met = worst < mostIdle
	line(t, "CPU of an enforcer of an idle pool of ten, worst (mean)", fmt.Sprintf("%.2f %% (%.2f %%) of a core", 100*worst, 100*total/float64(len(pods))), "< 1 %", met)
	mean, most := rates(bytes, said, time.Since(began))
	line(t, "gossip that it sends, mean (worst)", fmt.Sprintf("%.2f (%.2f) KB/s in %.0f frames/s", mean.bytes/1e3, most.bytes/1e3, mean.frames), "", true)
	return met, nil
}

// gossipOf reads what each pod has sent.
func gossipOf(pods []*pod) ([]gossip, error) {
	all := make([]gossip, len(pods))
	for i, p := range pods {
		n, err := p.gossiped()
		if err != nil {
			return nil, err
		}
		all[i] = n
	}
	return all, nil
}

// rates returns what pods sent a second: the mean, and of the one that sent most
// bytes.
func rates(before, after []gossip, in time.Duration) (mean, most gossip) {
	for i := range before {
		rate := gossip{(after[i].bytes - before[i].bytes) / in.Seconds(), (after[i].frames - before[i].frames) / in.Seconds()}
		mean.bytes += rate.bytes / float64(len(before))
		mean.frames += rate.frames / float64(len(before))
		if rate.bytes > most.bytes {
			most = rate
		}
	}
	return mean, most
}
