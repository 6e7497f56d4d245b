package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-dev/sluice/enforcer/report"
	"github.com/sluice-dev/sluice/internal/load"
)

// quota is a limit that the pool enforces for each client of a domain of its own.
type quota struct {
	domain   string
	requests int
	per      string // a duration of the policy language: 1s, 1m
	seconds  float64
	burst    int
	sharing  string // as a policy says it, "" for what a pool does without a word

	// over is the rate and the burst of clients named over-*, nil if they are like the
	// others.
	over *quota
}

// exactSharing is the sharing of limits that no enforcer may exceed.
const exactSharing = "Exact"

// overPrefix begins the names of clients that have quota.over.
const overPrefix = "over-"

// shared returns the same quota in another domain, with sharing as a policy says it.
func (q quota) shared(domain, sharing string) quota {
	q.domain, q.sharing = domain, sharing
	return q
}

// perSecond is how many tokens a client gets each second.
func (q quota) perSecond() float64 { return float64(q.requests) / q.seconds }

func (q quota) limit() load.Limit { return load.Limit{PerSecond: q.perSecond(), Burst: q.burst} }

// policy is the quota in YAML.
func (q quota) policy() string {
	text := fmt.Sprintf(`apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: %s, namespace: bench}
spec:
  domain: %s
  limits:
  - name: per-client
    key: ["descriptor['client']"]
    rate: {requests: %d, per: %s}
    burst: %d
`, q.domain, q.domain, q.requests, q.per, q.burst)
	if q.sharing != "" {
		text += "    sharing: " + q.sharing + "\n"
	}
	if o := q.over; o != nil {
		text += fmt.Sprintf("    overrides:\n    - {key: [%q], rate: {requests: %d, per: %s}, burst: %d}\n", overPrefix+"*", o.requests, o.per, o.burst)
	}
	return text
}

// pod is one enforcer.
type pod struct {
	*process
	http, rls, admin, gossip string
	conn                     conn
}

// conn is a connection of its own to a server.
type conn interface {
	grpc.ClientConnInterface
	io.Closer
}

// startPool starts n enforcers that know each other and have the quotas, and
// returns when all are ready and have met.
func (s *stage) startPool(n int, quotas []quota) ([]*pod, error) {
	pods, peers := make([]*pod, n), make([]string, n)
	for i := range pods {
		pods[i] = &pod{}
		for _, a := range []*string{&pods[i].http, &pods[i].rls, &pods[i].admin, &pods[i].gossip} {
			var err error
			if *a, err = s.address(); err != nil {
				return nil, err
			}
		}
		peers[i] = pods[i].gossip
	}
	policies := filepath.Join(s.dir, fmt.Sprintf("policies-%d.yaml", len(s.started))) // a pool's own: enforcers look at it again
	var text []string
	for _, q := range quotas {
		text = append(text, q.policy())
	}
	if err := os.WriteFile(policies, []byte(strings.Join(text, "---\n")), 0o644); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(filepath.Join(s.opts.bin, "enforcer"))
	if err != nil {
		return nil, err
	}
	for i, p := range pods {
		name := fmt.Sprintf("enforcer-%d-of-%d", i+1, n)
		if p.process, err = s.start(name, asInAPod, path, "--policies", policies, "--node-name", name, "--peers", strings.Join(peers, ","),
			"--http-listen", p.http, "--rls-listen", p.rls, "--gossip-listen", p.gossip, "--admin-listen", p.admin); err != nil {
			return nil, err
		}
	}
	for _, p := range pods {
		if err := s.eventually(p.name+" ready", func() error { return p.ready(n) }); err != nil {
			return nil, err
		}
		if p.conn, err = dial(p.rls); err != nil {
			return nil, err
		}
	}
	s.say("%d enforcers are ready", n)
	return pods, nil
}

// stopPool stops the enforcers.
func stopPool(pods []*pod) {
	for _, p := range pods {
		_ = p.conn.Close() // nothing is under way
	}
	stop(processes(pods))
}

func processes(pods []*pod) []*process {
	all := make([]*process, len(pods))
	for i, p := range pods {
		all[i] = p.process
	}
	return all
}

// dial connects to a gRPC server.
func dial(address string) (conn, error) {
	return grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// ready is nil once the enforcer says that it is, and has met all n-1 others.
func (p *pod) ready(n int) error {
	if err := p.failed(); err != nil {
		return err
	}
	resp, err := http.Get("http://" + p.admin + "/v1/state")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var state report.State
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		return err
	}
	if !state.Ready || len(state.Peers) != n-1 {
		return fmt.Errorf("%s: ready %v, %d peers of %d", p.name, state.Ready, len(state.Peers), n-1)
	}
	return nil
}

// gossip is what an enforcer has sent.
type gossip struct{ bytes, frames float64 }

// gossiped returns what the enforcer has sent so far.
func (p *pod) gossiped() (sent gossip, err error) {
	const way = `{direction="sent"`
	err = p.sum(map[string]*float64{"sluice_gossip_bytes_total" + way: &sent.bytes, "sluice_gossip_frames_total" + way: &sent.frames})
	return sent, err
}

// sum adds the enforcer's metrics to what is told for the beginnings of their names,
// labels among them.
func (p *pod) sum(into map[string]*float64) error {
	resp, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		text := lines.Text()
		for name, sum := range into {
			if !strings.HasPrefix(text, name) {
				continue
			}
			v, err := strconv.ParseFloat(text[strings.LastIndexByte(text, ' ')+1:], 64)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			*sum += v
		}
	}
	return lines.Err()
}
