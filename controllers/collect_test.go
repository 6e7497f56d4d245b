package controllers

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// pool is two enforcers in virtual time, "a:1" and "b:1".
type pool struct {
	mu    sync.Mutex
	runs  map[string]string // digest by address; not there: dead
	asked map[string]int    // questions by address
	told  map[string]int    // answers with policies, by address
}

func (p *pool) ask(_ context.Context, _ string, e discovery.Endpoint, known []string) answer {
	address, _ := e.Address(v1alpha1.AdminPort)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[address]++
	digest, alive := p.runs[address]
	if !alive {
		return answer{problem: "does not answer: connection refused"}
	}
	state := &report.State{Document: &report.Document{Digest: digest}}
	if slices.Contains(known, digest) {
		return answer{state: state}
	}
	p.told[address]++
	return tellingOf(state, report.Policy{Namespace: "shop", Name: "storefront", UID: "u1", Generation: int64(len(digest))})
}

func (p *pool) set(address, digest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[address] = digest
}

func (p *pool) kill(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.runs, address)
}

// questions returns how often an address was asked since the last call.
func (p *pool) questions(address string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.asked[address]
	p.asked[address] = 0
	return n
}

// answers returns how often an address has told its policies.
func (p *pool) answers(address string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told[address]
}

// inBubble runs a collector that follows both enforcers in virtual time.
func inBubble(t *testing.T, run func(t *testing.T, c *collector, p *pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pool{runs: map[string]string{"a:1": "1", "b:1": "1"}, asked: map[string]int{}, told: map[string]int{}}
		source, err := discovery.Static(v1alpha1.AdminPort, []string{"a:1", "b:1"})
		if err != nil {
			t.Fatal(err)
		}
		c := &collector{
			namespace: "sluice-system", board: newBoard(), ask: p.ask, now: time.Now, log: logr.Discard(),
			discover: func(string, string) discovery.Source { return source },
			policies: &trigger{}, pools: &trigger{}, commands: make(chan command),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Start(ctx) }()
		publish(ctx, c, "1")
		run(t, c, p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// publish does what the reconciler of EnforcerPool does after a document is out.
func publish(ctx context.Context, c *collector, digest string) {
	c.board.judge("default", &judgment{
		digest:   digest,
		runs:     documentRuns{storefront: {uid: "u1", generation: int64(len(digest))}},
		verdicts: map[types.NamespacedName]verdict{storefront: {uid: "u1", generation: int64(len(digest))}},
	})
	c.follow(ctx, "default", "default-enforcers")
	synctest.Wait()
}

func (c *collector) problems() (problems []string) {
	for _, e := range c.board.of("default").observation.enforcers {
		problems = append(problems, e.problem)
	}
	return problems
}

// after lets virtual time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestCollectorAsksSeldomWhileAllIsWell(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *collector, p *pool) {
		p.questions("a:1")
		after(10*time.Second + time.Millisecond)
		if n := p.questions("a:1"); n != 10 {
			t.Errorf("%d questions in 10 s, want 10", n)
		}
	})
}

// With many policies an answer that lists them is long. The counters are wanted
// every five seconds, and what is published need not be told.
func TestCollectorHasPoliciesToldSeldom(t *testing.T) {
	inBubble(t, func(t *testing.T, c *collector, p *pool) {
		after(time.Millisecond)
		before := p.answers("a:1")
		publish(t.Context(), c, "22")
		p.set("a:1", "22")
		after(4 * time.Second) // b lags
		if n := p.answers("a:1") - before; n != 0 {
			t.Errorf("the policies were told %d times though they were known", n)
		}
		for i, e := range c.board.of("default").observation.enforcers {
			if want := int64(2 - i); e.runs[storefront].generation != want {
				t.Errorf("%s runs generation %d, want %d", e.name, e.runs[storefront].generation, want)
			}
		}
		before = p.answers("a:1")
		after(30 * time.Second)
		if n := p.answers("a:1") - before; n != 6 {
			t.Errorf("the policies were told %d times in 30 s, want 6", n)
		}
		p.set("a:1", "333") // which this manager did not publish
		after(calmInterval)
		if got := c.board.of("default").observation.enforcers[0].runs[storefront].generation; got != 3 {
			t.Errorf("generation %d runs, want 3", got)
		}
	})
}

func TestCollectorSeesAChangeAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, c *collector, p *pool) {
		after(10 * time.Second)
		publish(t.Context(), c, "22")
		after(30 * time.Millisecond)
		p.set("a:1", "22")
		p.set("b:1", "22")
		after(keenInterval)
		for _, e := range c.board.of("default").observation.enforcers {
			if e.runs[storefront].generation != 2 {
				t.Errorf("%s runs generation %d %s after it loaded 2", e.name, e.runs[storefront].generation, keenInterval)
			}
		}
	})
}

func TestCollectorAsksALaggardLessAndLess(t *testing.T) {
	inBubble(t, func(t *testing.T, c *collector, p *pool) {
		publish(t.Context(), c, "22")
		p.questions("b:1")
		after(time.Second)
		first := p.questions("b:1")
		after(time.Minute)
		p.questions("b:1")
		after(10 * time.Second)
		later := p.questions("b:1")
		if first < 6 || later > 11 {
			t.Errorf("%d questions in the first second, want 6 or more; %d in 10 s after a minute, want about 10", first, later)
		}
	})
}

func TestCollectorNoticesALossWithinTwoSeconds(t *testing.T) {
	for _, phase := range []time.Duration{0, 1, 250, 500, 999} {
		inBubble(t, func(t *testing.T, c *collector, p *pool) {
			after(10*time.Second + phase*time.Millisecond)
			p.kill("b:1")
			after(1600 * time.Millisecond)
			if got := c.problems(); got[0] != "" || got[1] != "does not answer: connection refused" {
				t.Errorf("killed %d ms after a round: problems %q", phase, got)
			}
			p.set("b:1", "") // it is back, and has lost its document
			after(1600 * time.Millisecond)
			if e := c.board.of("default").observation.enforcers[1]; e.problem != "" || e.runs[storefront].generation != 0 {
				t.Errorf("came back without a document: problem %q, runs generation %d", e.problem, e.runs[storefront].generation)
			}
			p.set("b:1", "1")
			after(time.Second)
			if e := c.board.of("default").observation.enforcers[1]; e.runs[storefront].generation != 1 {
				t.Errorf("has its document again: runs generation %d", e.runs[storefront].generation)
			}
		})
	}
}

func TestCollectorStopsAskingAPoolThatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, c *collector, p *pool) {
		c.leave(t.Context(), "default")
		c.board.forget("default")
		synctest.Wait()
		p.questions("a:1")
		after(5 * time.Second)
		if n := p.questions("a:1"); n != 0 {
			t.Errorf("%d questions to a pool that is gone", n)
		}
	})
}
