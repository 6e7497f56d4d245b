package engine_test

import (
	"fmt"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// The benchmarks of this file compare a whole decision (match, decide, account,
// with a reading of the clock) with something that everybody knows, within one
// run: both are timed in turn, in short batches, so that a machine that slows
// down slows both, and the median ratio is reported.

// ratio reports how long ours takes, in parts of what theirs takes. Each is
// called with the number of operations to do.
func ratio(b *testing.B, ours, theirs func(n int)) {
	b.Helper()
	const batch = 20_000
	var ratios, own, other []float64
	timed := func(f func(int)) float64 {
		began := time.Now()
		f(batch)
		return float64(time.Since(began).Nanoseconds()) / batch
	}
	ours(batch)
	theirs(batch)
	for b.Loop() {
		x, y := timed(ours), timed(theirs)
		own, other, ratios = append(own, x), append(other, y), append(ratios, x/y)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(own), "ours-ns/op")
	b.ReportMetric(median(other), "theirs-ns/op")
	b.ReportMetric(0, "ns/op")
}

func median(all []float64) float64 {
	sort.Float64s(all)
	return all[len(all)/2]
}

// wall is a clock as an enforcer has it.
type wall struct{ at time.Time }

func (w wall) now() limit.Instant { return start.Add(limit.Span(time.Since(w.at))) }

// decider decides the given requests in turn.
func decider(e *engine.Engine, reqs ...*request.Request) func(n int) {
	clock := wall{time.Now()}
	var ans request.Answer
	at := 0
	return func(n int) {
		for range n {
			e.Decide(clock.now(), reqs[at], &ans)
			if at++; at == len(reqs) {
				at = 0
			}
		}
	}
}

func BenchmarkRatioHotKeyToXTimeRate(b *testing.B) {
	e := newEngine(b, compile(b, perClient("client", 1e9, "1s", 1e9)))
	limiter := rate.NewLimiter(1e9, 1e9)
	ratio(b, decider(e, client("a")), func(n int) {
		for range n {
			limiter.Allow()
		}
	})
}

func BenchmarkRatioMillionKeysToMap(b *testing.B) {
	const keys = 1_000_000
	e, err := engine.New(engine.Options{Node: "node", MaxKeys: 2 * keys, Seed: [16]byte{1}, Born: start})
	if err != nil {
		b.Fatal(err)
	}
	e.SetPeers(start, nil)
	e.SetPolicy(start, compile(b, perClient("client", 1000, "1h", 1_000_000)))

	names := make([]string, keys)
	counters := make(map[string]*atomic.Int64, keys)
	for i := range names {
		names[i] = fmt.Sprintf("client-%07d", i)
		counters[names[i]] = new(atomic.Int64)
	}
	var lock sync.RWMutex
	headers := &oneHeader{}
	req := client("")
	req.HTTP.Headers = headers
	var ans request.Answer
	clock := wall{time.Now()}
	for _, name := range names {
		headers.value = name
		e.Decide(clock.now(), req, &ans)
	}
	runtime.GC()
	i, j := uint64(0), uint64(0)
	const step = 7_368_787 // prime: visits all names in a scattered order
	ratio(b, func(n int) {
		for range n {
			i = (i + step) % keys
			headers.value = names[i]
			e.Decide(clock.now(), req, &ans)
		}
	}, func(n int) {
		for range n {
			j = (j + step) % keys
			_ = clock.now()
			lock.RLock()
			counter := counters[names[j]]
			lock.RUnlock()
			counter.Add(1)
		}
	})
}

// oneHeader is a header that always has the same value.
type oneHeader struct{ value string }

func (h *oneHeader) Get(string) string { return h.value }

func BenchmarkRatioTwoCoresToOne(b *testing.B) {
	const keys = 10_000
	e := newEngine(b, compile(b, perClient("client", 1000, "1h", 1_000_000)))
	reqs := make([]*request.Request, keys)
	for i := range reqs {
		reqs[i] = client(fmt.Sprint("client-", i))
	}
	one, two := decider(e, reqs...), decider(e, reqs...)
	both := func(n int) {
		var done sync.WaitGroup
		done.Go(func() { one(n / 2) })
		two(n / 2)
		done.Wait()
	}
	ratio(b, both, one)
}

func BenchmarkRatioThreeLimitsToOne(b *testing.B) {
	one := newEngine(b, compile(b, perClient("client", 1e9, "1s", 1e9)))
	three := newEngine(b, compile(b, perClient("client", 1e9, "1s", 1e9), total("all", 1e9, "1s"), perClient("slow", 1e9, "1m", 1e9)))
	ratio(b, decider(three, client("a")), decider(one, client("a")))
}

func BenchmarkRatioTwentyOperatorsToNone(b *testing.B) {
	plain := perClient("client", 1e9, "1s", 1e9)
	picky := plain
	picky.When = []string{"request.method == 'GET'" + strings.Repeat(" && request.path != '/never'", 10)}
	ratio(b, decider(newEngine(b, compile(b, picky)), client("a")), decider(newEngine(b, compile(b, plain)), client("a")))
}

func BenchmarkRatioThousandLimitsToOne(b *testing.B) {
	limits := func(n int) []policy.Policy {
		var all []policy.Policy
		for i := range n {
			l := perClient("client", 1e9, "1s", 1e9)
			l.When = []string{fmt.Sprintf("request.path == '/%d'", i)}
			all = append(all, policy.Policy{Namespace: "shop", Name: fmt.Sprintf("p%04d", i), Domain: "web", Limits: []policy.Limit{l}})
		}
		return all
	}
	req := client("a")
	req.HTTP.Path = "/0"
	ratio(b, decider(newEngine(b, compileAll(b, limits(1000)...)), req), decider(newEngine(b, compileAll(b, limits(1)...)), req))
}
