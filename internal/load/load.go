// Package load offers requests to enforcers from outside, as proxies would, and
// judges what was admitted. The benchmarks and the end-to-end tests share it.
package load

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

// Load is what is offered: an open loop, which does not wait for answers.
type Load struct {
	Domain  string
	Clients []string
	Rate    float64 // calls a second of all clients together

	// Even spaces the calls of each client evenly but for some jitter, so that its
	// demand is never above the rate for long. Otherwise they come at random
	// (Poisson).
	Even bool

	// To returns the connection that a call of a client goes over, due at a time
	// since the start. One goroutine calls it, in the order of those times.
	To func(r *rand.Rand, at time.Duration, client int) grpc.ClientConnInterface
}

// Answer is one call that was answered, with times since the start of the load.
type Answer struct {
	Sent, Came time.Duration
	Client     int32
	Admitted   bool
}

// Offered is what became of a load.
type Offered struct {
	Answers        []Answer // by the time that they came
	Failed, Unsent int
}

// Call makes one request for a client.
func Call(domain, client string) *rlsv3.RateLimitRequest {
	return &rlsv3.RateLimitRequest{Domain: domain, Descriptors: []*ratelimitv3.RateLimitDescriptor{{
		Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "client", Value: client}},
	}}}
}

// Ask makes a call over a connection and returns whether it was admitted.
func Ask(ctx context.Context, conn grpc.ClientConnInterface, req *rlsv3.RateLimitRequest, into *rlsv3.RateLimitResponse) (admitted bool, err error) {
	err = conn.Invoke(ctx, rlsv3.RateLimitService_ShouldRateLimit_FullMethodName, req, into)
	return into.OverallCode == rlsv3.RateLimitResponse_OK, err
}

// generator is a load that is being offered.
type generator struct {
	Load
	requests []*rlsv3.RateLimitRequest
	began    time.Time
	random   *rand.Rand
	inFlight atomic.Int64
	waiting  sync.WaitGroup

	mu  sync.Mutex // guards out
	out Offered
}

// Offer sends the load for a time, or until ctx ends, and waits for the last
// answers.
func (l Load) Offer(ctx context.Context, lasting time.Duration) Offered {
	g := &generator{Load: l, random: rand.New(rand.NewPCG(1, 2)), began: time.Now()}
	g.out.Answers = make([]Answer, 0, int(l.Rate*lasting.Seconds()*1.1))
	for _, client := range l.Clients {
		g.requests = append(g.requests, Call(l.Domain, client))
	}
	every := time.NewTicker(time.Millisecond)
	defer every.Stop()
	due, client := time.Duration(0), 0
	for ctx.Err() == nil {
		now := time.Since(g.began)
		if now > lasting {
			break
		}
		for ; due <= now; due += g.gap() {
			if client = (client + 1) % len(l.Clients); !l.Even {
				client = g.random.IntN(len(l.Clients))
			}
			g.send(ctx, due, client)
		}
		<-every.C
	}
	g.waiting.Wait()
	slices.SortFunc(g.out.Answers, func(a, b Answer) int { return cmp.Compare(a.Came, b.Came) })
	return g.out
}

// gap is the time until the next call is due.
func (g *generator) gap() time.Duration {
	mean := float64(time.Second) / g.Rate
	if g.Even {
		return time.Duration(mean * (.75 + .5*g.random.Float64()))
	}
	return time.Duration(mean * g.random.ExpFloat64())
}

// send makes a call without waiting for its answer.
func (g *generator) send(ctx context.Context, due time.Duration, client int) {
	conn := g.To(g.random, due, client)
	if g.inFlight.Add(1) > mostInFlight {
		g.inFlight.Add(-1)
		g.mu.Lock()
		g.out.Unsent++
		g.mu.Unlock()
		return
	}
	g.waiting.Go(func() {
		defer g.inFlight.Add(-1)
		var got rlsv3.RateLimitResponse
		a := Answer{Sent: time.Since(g.began), Client: int32(client)}
		var err error
		a.Admitted, err = Ask(ctx, conn, g.requests[client], &got)
		a.Came = time.Since(g.began)
		g.mu.Lock()
		defer g.mu.Unlock()
		if err != nil {
			g.out.Failed++
			return
		}
		g.out.Answers = append(g.out.Answers, a)
	})
}
