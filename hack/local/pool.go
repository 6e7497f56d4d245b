package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/enforcer/report"
)

// poolSize is how many enforcers every command starts.
const poolSize = 3

// enforcer is one enforcer process and where it listens.
type enforcer struct {
	*process
	http, rls, admin, gossip string
}

// startPool starts the enforcers, each with the flags that source has for its
// name.
func (s *stage) startPool(source func(name string) []string) ([]*enforcer, error) {
	pool := make([]*enforcer, poolSize)
	peers := make([]string, poolSize)
	for i := range pool {
		e := &enforcer{}
		for role, addr := range []*string{&e.http, &e.rls, &e.admin, &e.gossip} {
			a, err := s.address(role*10 + i + 1)
			if err != nil {
				return nil, err
			}
			*addr = a
		}
		pool[i], peers[i] = e, e.gossip
	}
	for i, e := range pool {
		name := fmt.Sprintf("enforcer-%d", i+1)
		p, err := s.start(name, "enforcer", append([]string{
			"--node-name", name,
			"--peers", strings.Join(peers, ","),
			"--http-listen", e.http, "--rls-listen", e.rls, "--admin-listen", e.admin, "--gossip-listen", e.gossip,
		}, source(name)...)...)
		if err != nil {
			return nil, err
		}
		e.process = p
	}
	return pool, nil
}

// awaitPool waits until every enforcer is ready.
func (s *stage) awaitPool(pool []*enforcer) error {
	for _, e := range pool {
		if _, err := s.eventually(e.name+" ready", 30*time.Second, e.ready); err != nil {
			return err
		}
	}
	s.say("%d enforcers ready; HTTP at %s", len(pool), strings.Join(each(pool, func(e *enforcer) string { return e.http }), ", "))
	return nil
}

// each collects one thing of every enforcer.
func each(pool []*enforcer, of func(*enforcer) string) []string {
	all := make([]string, len(pool))
	for i, e := range pool {
		all[i] = of(e)
	}
	return all
}

// processes returns the processes of the enforcers.
func processes(pool []*enforcer) []*process {
	all := make([]*process, len(pool))
	for i, e := range pool {
		all[i] = e.process
	}
	return all
}

// ready is nil once the enforcer says so itself.
func (e *enforcer) ready() error {
	if err := e.failed(); err != nil {
		return err
	}
	resp, err := http.Get("http://" + e.admin + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz of %s answers %s", e.name, resp.Status)
	}
	return nil
}

// state reads GET /v1/state.
func (e *enforcer) state() (report.State, error) {
	var state report.State
	resp, err := http.Get("http://" + e.admin + "/v1/state")
	if err != nil {
		return state, err
	}
	defer resp.Body.Close()
	return state, json.NewDecoder(resp.Body).Decode(&state)
}

// generation returns which generation of a policy the enforcer runs, 0 for none.
func (e *enforcer) generation(namespace, name string) (int64, error) {
	state, err := e.state()
	if err != nil {
		return 0, err
	}
	for _, p := range state.Policies {
		if p.Namespace == namespace && p.Name == name {
			return p.Generation, nil
		}
	}
	return 0, nil
}

// ask makes one decision for a client and returns the status code.
func (e *enforcer) ask(ctx context.Context, client *http.Client, domain, apiKey string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.http+"/v1/auth/"+domain, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Api-Key", apiKey)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
