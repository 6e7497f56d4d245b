package engine_test

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// The benchmarks of this file compare a whole decision (match, decide, account,
// with a reading of the clock) with something that everybody knows, within one
// run: both are timed in turn, in short batches. What else the machine does can
// only add to the time of a batch, so the shortest batch of each is what the code
// costs, and their quotient is the ratio; the quotient of the medians tells how
// quiet it was.

// ratio reports how long ours takes, in parts of what theirs takes. Each is
// called with the number of operations to do.
func ratio(b *testing.B, ours, theirs func(n int)) {
	b.Helper()
	ratioOf(b, 10_000, ours, theirs)
}

// ratioOf is ratio with batches of another size.
func ratioOf(b *testing.B, batch int, ours, theirs func(n int)) {
	b.Helper()
	var own, other []float64
	timed := func(f func(int)) float64 {
		began := time.Now()
		f(batch)
		return float64(time.Since(began).Nanoseconds()) / float64(batch)
	}
	ours(batch)
	theirs(batch)
	for b.Loop() {
		own, other = append(own, timed(ours)), append(other, timed(theirs))
	}
	sort.Float64s(own)
	sort.Float64s(other)
	b.ReportMetric(own[0]/other[0], "ratio")
	b.ReportMetric(own[len(own)/2]/other[len(other)/2], "ratio-of-medians")
	b.ReportMetric(own[0], "ours-ns/op")
	b.ReportMetric(other[0], "theirs-ns/op")
	b.ReportMetric(own[0]-other[0], "more-ns/op")
	b.ReportMetric(0, "ns/op")
}

// wall is a clock as an enforcer has it.
type wall struct{ at time.Time }

func (w wall) now() limit.Instant { return start.Add(limit.Span(time.Since(w.at))) }

// decider decides the given requests in turn. What it writes to is its own, so
// that two of them share no cache line.
func decider(e *engine.Engine, reqs ...*request.Request) func(n int) {
	clock := wall{time.Now()}
	own := new(struct {
		ans request.Answer
		at  int
		_   [128]byte
	})
	return func(n int) {
		at := own.at
		for range n {
			e.Decide(clock.now(), reqs[at], &own.ans)
			if at++; at == len(reqs) {
				at = 0
			}
		}
		own.at = at
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

const million = 1_000_000

// millionClients returns an engine that has counted a million clients once, and
// their names.
func millionClients(b *testing.B) (*engine.Engine, []string) {
	e, err := engine.New(engine.Options{Node: "node", MaxKeys: 2 * million, Seed: [16]byte{1}, Born: start})
	if err != nil {
		b.Fatal(err)
	}
	e.SetView(start, gossip.View{})
	e.SetPolicy(start, compile(b, perClient("client", 1000, "1h", 1_000_000)))
	names := make([]string, million)
	for i := range names {
		names[i] = fmt.Sprintf("client-%07d", i)
	}
	req := client("")
	for _, name := range names { // in another order than they are asked for later
		req.HTTP.Headers = request.Values{"x-api-key": name}
		ask(e, start, req)
	}
	runtime.GC()
	return e, names
}

// scattered decides requests of all names in a scattered order.
func scattered(e *engine.Engine, names []string, from int) func(n int) {
	const step = 736_787 // prime, and so visits all names
	own := new(struct {
		req     request.Request
		http    request.HTTP
		headers oneHeader
		ans     request.Answer
		at      int
		_       [128]byte
	})
	own.req = request.Request{Domain: "web", Cost: 1, HTTP: &own.http}
	own.http = request.HTTP{Method: "GET", Path: "/", Headers: &own.headers}
	own.at = from
	clock := wall{time.Now()}
	return func(n int) {
		for range n {
			own.at = (own.at + step) % len(names)
			own.headers.value = names[own.at]
			e.Decide(clock.now(), &own.req, &own.ans)
		}
	}
}

// oneHeader is a header that always has the same value.
type oneHeader struct{ value string }

func (h *oneHeader) Get(string) string { return h.value }

// BenchmarkRatioHotKeyWithoutClock is the decision alone, which is told the time,
// compared with the same: Allow reads a clock, which is most of it.
func BenchmarkRatioHotKeyWithoutClock(b *testing.B) {
	e := newEngine(b, compile(b, perClient("client", 1e9, "1s", 1e9)))
	limiter := rate.NewLimiter(1e9, 1e9)
	req, now := client("a"), start
	var ans request.Answer
	ratio(b, func(n int) {
		for range n {
			now += 1000
			e.Decide(now, req, &ans)
		}
	}, func(n int) {
		for range n {
			limiter.Allow()
		}
	})
}

func BenchmarkRatioMillionKeysToMap(b *testing.B) {
	e, names := millionClients(b)
	counters := make(map[string]*atomic.Int64, len(names))
	for _, name := range names {
		counters[name] = new(atomic.Int64)
	}
	runtime.GC()
	var lock sync.RWMutex
	clock := wall{time.Now()}
	at := 0
	const step = 736_787
	ratio(b, scattered(e, names, 0), func(n int) {
		for range n {
			at = (at + step) % len(names)
			_ = clock.now()
			lock.RLock()
			counter := counters[names[at]]
			lock.RUnlock()
			counter.Add(1)
		}
	})
}

// Two cores are compared with one that does the same number of decisions; what two
// cores of this machine can do at all is measured by work that shares nothing.

func BenchmarkRatioTwoCoresToOneMillionKeys(b *testing.B) {
	e, names := millionClients(b)
	speedup(b, 20_000, scattered(e, names, 0), scattered(e, names, len(names)/2))
}

func BenchmarkRatioTwoCoresToOneHotKeys(b *testing.B) {
	e := newEngine(b, compile(b, perClient("client", 1e9, "1s", 1e9)))
	speedup(b, 40_000, decider(e, client("a")), decider(e, client("b")))
}

func BenchmarkRatioTwoCoresToOneThousandKeys(b *testing.B) {
	e := newEngine(b, compile(b, perClient("client", 1e9, "1s", 1e9)))
	clients := func(of string) (all []*request.Request) {
		for i := range 1000 {
			all = append(all, client(fmt.Sprint(of, i)))
		}
		return all
	}
	speedup(b, 40_000, decider(e, clients("a")...), decider(e, clients("b")...))
}

func BenchmarkRatioTwoCoresToOneNothingShared(b *testing.B) {
	private := func() func(n int) {
		own := new(struct {
			_  [128]byte
			mu sync.Mutex
			n  int
			_  [128]byte
		})
		clock := wall{time.Now()}
		return func(n int) {
			for range n {
				_ = clock.now()
				own.mu.Lock()
				own.n++
				own.mu.Unlock()
			}
		}
	}
	speedup(b, 100_000, private(), private())
}

// speedup reports how many times as much two cores do as one, in batches of some
// milliseconds: long enough for the second goroutine to get going, and short enough
// to find both cores idle now and then.
func speedup(b *testing.B, batch int, one, other func(n int)) {
	b.Helper()
	both := func(n int) {
		var done sync.WaitGroup
		done.Go(func() { one(n / 2) })
		other(n / 2)
		done.Wait()
	}
	alone := func(n int) {
		one(n / 2)
		other(n / 2)
	}
	ratioOf(b, batch, alone, both)
}

func BenchmarkRatioThreeLimitsToOne(b *testing.B) {
	one := newEngine(b, compile(b, perClient("client", 1e9, "1s", 1e9)))
	three := newEngine(b, compile(b, perClient("client", 1e9, "1s", 1e9), total("all", 1e9, "1s"), perClient("slow", 1e9, "1m", 1e9)))
	ratio(b, decider(three, client("a")), decider(one, client("a")))
}

// twentyOperators has a few more than that, all of which are evaluated.
const twentyOperators = "request.method == 'GET' && request.path.startsWith('/') && !request.path.endsWith('.css') && " +
	"(request.host == 'shop.example' || request.host == 'www.shop.example' || request.host.endsWith('.com')) && " +
	"!(request.headers['x-api-key'] in ['banned', 'blocked']) && size(request.path) <= 100 && " +
	"(request.headers['x-tier'] == 'gold' || request.query['page'] != '1') && 'x-api-key' in request.headers"

func BenchmarkRatioTwentyOperatorsToNone(b *testing.B) {
	plain := perClient("client", 1e9, "1s", 1e9)
	picky := plain
	picky.When = []string{twentyOperators}
	e := newEngine(b, compile(b, picky))
	if got := ask(e, start, client("a")); got.Outcome != request.Admitted {
		b.Fatalf("the limit does not apply: %v", got.Outcome)
	}
	ratio(b, decider(e, client("a")), decider(newEngine(b, compile(b, plain)), client("a")))
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
