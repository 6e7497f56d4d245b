// Package enforcer makes one enforcer out of its parts: an engine that decides,
// the policies and peers that it is told of, the network that it shares counts
// over, and the front ends that ask it.
package enforcer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/sluice-dev/sluice/enforcer/admin"
	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/httpcheck"
	"github.com/sluice-dev/sluice/enforcer/internal/certificate"
	"github.com/sluice-dev/sluice/enforcer/internal/clock"
	"github.com/sluice-dev/sluice/enforcer/internal/membership"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
	"github.com/sluice-dev/sluice/enforcer/internal/transport"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/rls"
)

// Enforcer is one enforcer process. Several may run in one process. Make one
// with New.
type Enforcer struct {
	opts      Options
	clock     *clock.Clock
	engine    *engine.Engine
	transport *transport.Transport
	keys      *seal.File         // nil: gossip is not sealed
	tls       *certificate.Files // nil: what is not gossip is plain text
	policies  *policies
	peers     *peers
	views     views

	membership *membership.Membership // nil: there are no peers

	rls       *rls.Server
	grpc      *grpc.Server
	http      *http.Server
	admin     *http.Server
	listeners listeners

	started  limit.Instant
	stopping atomic.Bool
}

type listeners struct{ rls, http, admin net.Listener }

// Addresses are where an enforcer listens.
type Addresses struct{ RLS, HTTP, Gossip, Admin string }

// New checks the options, reads the policies of standalone mode, and listens.
// Nothing is answered before Run. An Enforcer that is not run must be closed.
func New(ctx context.Context, o Options) (*Enforcer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	e := &Enforcer{opts: o, clock: clock.New()}
	e.started = e.clock.Now()
	var err error
	if err = e.newEngine(); err != nil {
		return nil, err
	}
	if e.keys, err = newKeys(&o); err != nil {
		return nil, err
	}
	if o.TLSCertFile != "" {
		paths := certificate.Paths{Certificate: o.TLSCertFile, Key: o.TLSPrivateKeyFile, ClientCAs: o.TLSClientCAFiles}
		if e.tls, err = certificate.Open(paths, e.opts.Log); err != nil {
			return nil, err
		}
	}
	if e.policies, e.peers, err = newInputs(ctx, e); err != nil {
		return nil, err
	}
	if err := e.listen(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if err := e.serve(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Enforcer) newEngine() (err error) {
	var seed match.Seed
	if _, err := rand.Read(seed[:]); err != nil {
		return fmt.Errorf("no randomness for the hash seed: %w", err)
	}
	e.engine, err = engine.New(engine.Options{
		Node: limit.NodeID(e.opts.Node), MaxKeys: e.opts.MaxKeys, Seed: seed, Born: e.started,
		Wake: func() { e.transport.Wake() }, Hurry: func() { e.transport.Hurry() },
	})
	return err
}

// newKeys reads the pool's keys; nil when there are none.
func newKeys(o *Options) (*seal.File, error) {
	if o.GossipKeyFile == "" {
		return nil, nil
	}
	keys, err := seal.OpenFile(o.GossipKeyFile, o.Log)
	if err != nil {
		return nil, fmt.Errorf("--gossip-key-file %s: %w", o.GossipKeyFile, err)
	}
	return keys, nil
}

// listen opens every socket.
func (e *Enforcer) listen(ctx context.Context) error {
	var config net.ListenConfig
	var err error
	for _, l := range []struct {
		flag, address string
		listener      *net.Listener
	}{
		{"rls", e.opts.RLSListen, &e.listeners.rls},
		{"http", e.opts.HTTPListen, &e.listeners.http},
		{"admin", e.opts.AdminListen, &e.listeners.admin},
	} {
		if *l.listener, err = config.Listen(ctx, "tcp", l.address); err != nil {
			return fmt.Errorf("--%s-listen %s: %w", l.flag, l.address, err)
		}
	}
	e.transport, err = transport.Listen(transport.Options{
		Listen: e.opts.GossipListen, Node: e.engine, Now: e.clock.Now, Log: e.opts.Log, Keys: e.keys.Ring(),
		Prompt: func() bool { return e.engine.Prompt(e.clock.Now()) },
	})
	if err != nil {
		return fmt.Errorf("--gossip-listen %s: %w", e.opts.GossipListen, err)
	}
	return e.join()
}

// join prepares to take part in the pool.
func (e *Enforcer) join() (err error) {
	if e.peers.source == nil {
		return nil
	}
	e.views.set = e.setView
	e.membership, err = membership.New(e.transport.Membership(), membership.Options{
		Name: e.opts.Node, Listen: e.transport.Addr(), Source: e.peers, Port: gossipPort, Changed: e.views.changed,
		Report: func(err error) { e.opts.Log.Error("the pool needs somebody's attention", "error", err) }, Log: e.opts.Log,
	})
	return err
}

// serve makes the servers, each with the engine behind it.
func (e *Enforcer) serve() error {
	registry := prometheus.NewRegistry()
	latency, err := admin.NewLatency(registry)
	if err != nil {
		return err
	}
	err = errors.Join(
		registry.Register(admin.NewCollector(e.counts)),
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return err
	}
	decider := newDecider(e.engine, e.clock)
	const mutual, oneWay = true, false
	rlsTLS, httpTLS := e.tls.Config(mutual, "h2"), e.tls.Config(mutual, "h2", "http/1.1")
	if e.opts.TLSPermissive {
		e.listeners.rls, rlsTLS = certificate.Either(e.listeners.rls, rlsTLS), nil
		e.listeners.http, httpTLS = certificate.Either(e.listeners.http, e.tls.Config(mutual, "http/1.1")), nil
	}
	e.rls = rls.New(rls.Options{Decider: decider, Observe: latency.Observer("rls"), TLS: rlsTLS})
	e.grpc = e.rls.GRPC()
	e.http = e.newHTTPServer(httpTLS, httpcheck.New(httpcheck.Options{Decider: decider, Node: e.opts.Node, TrustedProxies: e.opts.TrustedProxies, Observe: latency.Observer("http")}))
	// Neither probes nor the API server's proxy have a certificate to show.
	e.admin = e.newHTTPServer(e.tls.Config(oneWay, "h2", "http/1.1"), admin.New(admin.Options{Registry: registry, Ready: e.ready, State: e.state, Inspect: inspector{e}}))
	return nil
}

// Addresses returns where the enforcer listens, with the ports that it got.
func (e *Enforcer) Addresses() Addresses {
	return Addresses{
		RLS: e.listeners.rls.Addr().String(), HTTP: e.listeners.http.Addr().String(),
		Gossip: e.transport.Addr().String(), Admin: e.listeners.admin.Addr().String(),
	}
}

// Close gives the sockets of an Enforcer back that is not going to be run.
func (e *Enforcer) Close() error {
	var errs []error
	for _, l := range []net.Listener{e.listeners.rls, e.listeners.http, e.listeners.admin} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	if e.transport != nil {
		errs = append(errs, e.transport.Close())
	}
	return errors.Join(errs...)
}
