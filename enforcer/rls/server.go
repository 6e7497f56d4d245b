// Package rls answers the Envoy rate limit protocol, version 3: it translates
// each call into a request.Request, asks a Decider, and translates the answer
// back.
package rls

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/enforcer/quotafields"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// DefaultMaxConnectionAge is how long a connection is kept before the client is
// asked to make another: HTTP/2 clients stay with the enforcer they found first,
// and would never use new ones.
const DefaultMaxConnectionAge = 5 * time.Minute

// maxMessage bounds a call: 64 descriptors are far smaller.
const maxMessage = 1 << 20

// workers is how many goroutines answer calls; where all of them are busy a call
// gets one of its own.
const workers = 128

// Decider decides requests. It is called from many goroutines, and does not keep
// what it is given.
type Decider interface {
	Decide(req *request.Request, ans *request.Answer)
}

// Options configure a Server.
type Options struct {
	// Decider decides; required.
	Decider Decider

	// TLS is spoken unless it is nil.
	TLS *tls.Config

	// MaxConnectionAge is how long a connection is kept; 0 means
	// DefaultMaxConnectionAge.
	MaxConnectionAge time.Duration

	// Observe, unless nil, is told the outcome of each call ("admitted", "denied",
	// "not_limited" or "invalid") and how long it took.
	Observe func(outcome string, took time.Duration)
}

// Server implements the RateLimitService and the gRPC health service, which says
// NOT_SERVING until SetServing. Make one with New.
type Server struct {
	rlsv3.UnimplementedRateLimitServiceServer

	options Options
	health  *health.Server
	scratch sync.Pool
}

// scratch is what one call works with.
type scratch struct {
	req request.Request
	ans request.Answer

	limits request.PerQuota[*rlsv3.RateLimitResponse_RateLimit]
	fields quotafields.Writer
}

// services are the names under which probes ask for health: the whole server, the
// service itself, and the name that envoyproxy/ratelimit uses.
func services() []string {
	return []string{"", rlsv3.RateLimitService_ServiceDesc.ServiceName, "ratelimit"}
}

// New returns a Server that is not serving yet.
func New(o Options) *Server {
	s := &Server{options: o, health: health.NewServer()}
	s.scratch.New = func() any { return new(scratch) }
	s.SetServing(false)
	return s
}

// SetServing says to health probes whether calls are answered well.
func (s *Server) SetServing(serving bool) {
	state := healthv1.HealthCheckResponse_NOT_SERVING
	if serving {
		state = healthv1.HealthCheckResponse_SERVING
	}
	for _, name := range services() {
		s.health.SetServingStatus(name, state)
	}
}

// GRPC returns a gRPC server with this service, ready to Serve.
func (s *Server) GRPC() *grpc.Server {
	age := s.options.MaxConnectionAge
	if age == 0 {
		age = DefaultMaxConnectionAge
	}
	options := []grpc.ServerOption{
		// A goroutine of its own for each call would grow its stack each time: a tenth
		// of the cost of a call.
		grpc.NumStreamWorkers(workers),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: age, MaxConnectionAgeGrace: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if s.options.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.options.TLS)))
	}
	g := grpc.NewServer(options...)
	rlsv3.RegisterRateLimitServiceServer(g, s)
	healthv1.RegisterHealthServer(g, s.health)
	reflection.Register(g) // so that grpcurl can list and call it
	return g
}

// ShouldRateLimit implements the RateLimitService. A malformed call is an error,
// InvalidArgument, and never the code UNKNOWN, which Envoy lets pass whatever
// its failure mode.
func (s *Server) ShouldRateLimit(_ context.Context, in *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	began := time.Now()
	w := s.scratch.Get().(*scratch)
	defer s.scratch.Put(w)
	if err := translate(in, &w.req); err != nil {
		s.observe("invalid", began)
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	s.options.Decider.Decide(&w.req, &w.ans)
	s.observe(w.ans.Outcome.String(), began)
	return w.response(), nil
}

func (s *Server) observe(outcome string, began time.Time) {
	if s.options.Observe != nil {
		s.options.Observe(outcome, time.Since(began))
	}
}
