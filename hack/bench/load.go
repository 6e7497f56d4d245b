package main

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
)

// mostInFlight bounds the calls that wait for an answer. A call that is due while
// so many wait is not made, and counted: the machine is too slow.
const mostInFlight = 8192

// load is what is offered: an open loop, which does not wait for answers.
type load struct {
	domain  string
	clients []string
	rate    float64 // calls a second of all clients together
	spread  spread

	// even spaces the calls of each client evenly but for some jitter, so that its
	// demand is never above the rate for long. Otherwise they come at random
	// (Poisson).
	even bool

	// crash kills the last pod that long after the start, unless it is 0. Its calls
	// go to the others from then on, as a balancer would have it.
	crash time.Duration
}

// spread says which of n pods takes a call of a client.
type spread func(r *rand.Rand, at time.Duration, client, n int) int

func uniform(r *rand.Rand, _ time.Duration, _, n int) int  { return r.IntN(n) }
func onePod(_ *rand.Rand, _ time.Duration, _, _ int) int   { return 0 }
func hopping(_ *rand.Rand, at time.Duration, _, n int) int { return int(at/time.Second) % n }
func threePods(r *rand.Rand, _ time.Duration, client, n int) int {
	return (client + r.IntN(min(3, n))) % n
}

// skewed gives pod i a part in proportion to 1/(i+1)^1.5: of three, 65, 23 and
// 12 %.
func skewed(r *rand.Rand, _ time.Duration, _, n int) int {
	weights := [...]float64{1, .3536, .1925, .125, .0894, .0680, .0540, .0442, .0370, .0316}
	all := weights[:min(n, len(weights))]
	total := 0.0
	for _, w := range all {
		total += w
	}
	at := r.Float64() * total
	for i, w := range all {
		if at -= w; at < 0 {
			return i
		}
	}
	return 0
}

// answer is one call that was answered, with times since the start of the load.
type answer struct {
	sent, came time.Duration
	client     int32
	admitted   bool
}

// offered is what became of a load.
type offered struct {
	answers        []answer // by the time that they came
	failed, unsent int
	crashed        time.Duration // when the pod was dead, since the start
}

// call makes one request for a client.
func call(domain, client string) *rlsv3.RateLimitRequest {
	return &rlsv3.RateLimitRequest{Domain: domain, Descriptors: []*ratelimitv3.RateLimitDescriptor{{
		Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "client", Value: client}},
	}}}
}

// ask makes a call over a connection and returns whether it was admitted.
func ask(ctx context.Context, conn *grpc.ClientConn, req *rlsv3.RateLimitRequest, into *rlsv3.RateLimitResponse) (admitted bool, err error) {
	err = conn.Invoke(ctx, rlsv3.RateLimitService_ShouldRateLimit_FullMethodName, req, into)
	return into.OverallCode == rlsv3.RateLimitResponse_OK, err
}

// generator is a load that is being offered.
type generator struct {
	load
	pods     []*pod
	requests []*rlsv3.RateLimitRequest
	began    time.Time
	random   *rand.Rand
	alive    int // the first so many pods
	inFlight atomic.Int64
	waiting  sync.WaitGroup

	mu  sync.Mutex // guards out
	out offered
}

// offer sends the load to the pods for a time, and waits for the last answers.
func (l load) offer(ctx context.Context, pods []*pod, lasting time.Duration) offered {
	g := &generator{load: l, pods: pods, alive: len(pods), random: rand.New(rand.NewPCG(1, 2)), began: time.Now()}
	g.out.answers = make([]answer, 0, int(l.rate*lasting.Seconds()*1.1))
	for _, client := range l.clients {
		g.requests = append(g.requests, call(l.domain, client))
	}
	every := time.NewTicker(time.Millisecond)
	defer every.Stop()
	due, client := time.Duration(0), 0
	for ctx.Err() == nil {
		now := time.Since(g.began)
		if now > lasting {
			break
		}
		if g.crash > 0 && now > g.crash && g.alive == len(pods) {
			g.alive--
			pods[g.alive].kill()
			g.out.crashed = time.Since(g.began)
		}
		for ; due <= now; due += g.gap() {
			if client = (client + 1) % len(l.clients); !l.even {
				client = g.random.IntN(len(l.clients))
			}
			g.send(ctx, due, client)
		}
		<-every.C
	}
	g.waiting.Wait()
	slices.SortFunc(g.out.answers, func(a, b answer) int { return cmp.Compare(a.came, b.came) })
	return g.out
}

// gap is the time until the next call is due.
func (g *generator) gap() time.Duration {
	mean := float64(time.Second) / g.rate
	if g.even {
		return time.Duration(mean * (.75 + .5*g.random.Float64()))
	}
	return time.Duration(mean * g.random.ExpFloat64())
}

// send makes a call without waiting for its answer.
func (g *generator) send(ctx context.Context, due time.Duration, client int) {
	pod := g.spread(g.random, due, client, g.alive)
	if g.inFlight.Add(1) > mostInFlight {
		g.inFlight.Add(-1)
		g.mu.Lock()
		g.out.unsent++
		g.mu.Unlock()
		return
	}
	g.waiting.Go(func() {
		defer g.inFlight.Add(-1)
		var got rlsv3.RateLimitResponse
		a := answer{sent: time.Since(g.began), client: int32(client)}
		var err error
		a.admitted, err = ask(ctx, g.pods[pod].conn, g.requests[client], &got)
		a.came = time.Since(g.began)
		g.mu.Lock()
		defer g.mu.Unlock()
		if err != nil {
			g.out.failed++
			return
		}
		g.out.answers = append(g.out.answers, a)
	})
}
