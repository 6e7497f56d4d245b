package main

import (
	"context"
	"fmt"
	"net"
	"os"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
)

// nothingCommand is the hidden command under which this program is a server to
// compare with.
const nothingCommand = "serve-nothing"

// nothing answers every call with OK and decides nothing.
type nothing struct {
	rlsv3.UnimplementedRateLimitServiceServer
}

// ShouldRateLimit implements the RateLimitService.
func (nothing) ShouldRateLimit(context.Context, *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	return &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OK}, nil
}

// serveNothing serves at the address that is the one argument, until ctx ends.
func serveNothing(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes an address to listen on", nothingCommand)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", args[0])
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	rlsv3.RegisterRateLimitServiceServer(server, nothing{})
	defer context.AfterFunc(ctx, server.Stop)()
	return server.Serve(l)
}

// startNothing starts n servers that decide nothing, with env in their environment,
// and returns them and their addresses once they listen.
func (s *stage) startNothing(n int, env []string) (servers []*process, addresses []string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	for i := range n {
		address, err := s.address()
		if err != nil {
			return nil, nil, err
		}
		p, err := s.start(fmt.Sprintf("nothing-%d-of-%d-%d", i+1, n, len(env)), env, self, nothingCommand, address)
		if err != nil {
			return nil, nil, err
		}
		if err := s.eventually(p.name+" listens", func() error {
			if err := p.failed(); err != nil {
				return err
			}
			c, err := (&net.Dialer{}).DialContext(s.ctx, "tcp", address)
			if err != nil {
				return err
			}
			return c.Close()
		}); err != nil {
			return nil, nil, err
		}
		servers, addresses = append(servers, p), append(addresses, address)
	}
	return servers, addresses, nil
}
