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
	busyWarmUp    = 20 * time.Second // until nearly each key is known on its three pods
	busyFor       = 15 * time.Second
	busyRate      = .5 // calls a second of a key
	busyOverEvery = 100
)

var busyOver = quota{requests: 1, per: "10s", seconds: 10, burst: 1}

// busy are the loads of the gossip part: each key is asked for at three of the
// ten pods, half a time a second, and each hundredth at five times its limit.
var busy = []struct {
	name, goal string
	quota      quota
}{
	{"a third of", "≤ 50 KB/s", quota{domain: "third", requests: 15, per: "10s", seconds: 10, burst: 15, over: &busyOver}},
	{"0.8 of", "", quota{domain: "near", requests: 25, per: "40s", seconds: 40, burst: 10, over: &busyOver}},
}

// gossipCost measures what ten enforcers say to each other about 10,000 busy
// keys.
func gossipCost(s *stage, t *tabwriter.Writer) (met bool, err error) {
	var quotas []quota
	for _, b := range busy {
		quotas = append(quotas, b.quota)
	}
	pods, err := s.startPool(bigPool, quotas)
	if err != nil {
		return false, err
	}
	defer stopPool(pods)
	met = true
	for _, b := range busy {
		said, err := s.gossip(pods, b.quota)
		if err != nil {
			return false, err
		}
		ok := said.most.bytes <= mostGossip || b.goal == ""
		met = met && ok
		line(t, "gossip that an enforcer of ten sends, 10k keys at "+b.name+" their limit, mean (worst)",
			fmt.Sprintf("%.1f (%.1f) KB/s in %.0f frames/s at %.0f calls/s, CPU %.1f µs a call", said.mean.bytes/1e3, said.most.bytes/1e3, said.mean.frames, said.calls, said.cpu), b.goal, ok)
	}
	return met, nil
}

// said is what ten pods sent under a load.
type said struct {
	mean, most gossip  // a second, of a pod
	calls      float64 // answered a second, in all
	cpu        float64 // of all pods for a call, in microseconds
}

func (s *stage) gossip(pods []*pod, q quota) (out said, err error) {
	l := load.Load{Domain: q.domain, Rate: busyRate * manyClients}
	l.To = func(r *rand.Rand, at time.Duration, client int) grpc.ClientConnInterface {
		return pods[threePods(r, at, client, len(pods))].conn
	}
	for i := range manyClients {
		name := fmt.Sprintf("client-%d", i)
		if i%busyOverEvery == 0 {
			name = fmt.Sprint(overPrefix, i)
		}
		l.Clients = append(l.Clients, name)
	}
	done := make(chan load.Offered, 1)
	go func() { done <- l.Offer(s.ctx, busyWarmUp+busyFor+time.Second) }()
	defer func() { <-done }()
	if err := s.wait(busyWarmUp); err != nil {
		return out, err
	}
	before, err := gossipOf(pods)
	if err != nil {
		return out, err
	}
	cpu, err := cpuOf(processes(pods))
	if err != nil {
		return out, err
	}
	began := time.Now()
	if err := s.wait(busyFor); err != nil {
		return out, err
	}
	after, err := gossipOf(pods)
	if err != nil {
		return out, err
	}
	used, err := cpuOf(processes(pods))
	if err != nil {
		return out, err
	}
	lasted := time.Since(began)
	out.mean, out.most = rates(before, after, lasted)
	o := <-done
	done <- o
	out.calls = float64(len(o.Answers)) / (busyWarmUp + busyFor + time.Second).Seconds()
	out.cpu = micros(used-cpu) / (out.calls * lasted.Seconds())
	s.say("10k busy keys of %s: %.1f KB/s a pod (worst %.1f), %.0f calls/s, %d not sent, %d failed, p99 %s ms, load %s", q.domain,
		out.mean.bytes/1e3, out.most.bytes/1e3, out.calls, o.Unsent, o.Failed, millis(o.Latency(.99)), loadAverage())
	return out, nil
}
