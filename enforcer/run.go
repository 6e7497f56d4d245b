package enforcer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// noticeTime is how long a stopping enforcer of a cluster goes on answering
	// after it said that it is not ready, so that callers can go elsewhere first.
	noticeTime = time.Second

	// drainTime bounds the wait for calls that are being answered.
	drainTime = 5 * time.Second

	// leaveTime bounds the wait until the others know all that a stopping enforcer
	// took.
	leaveTime = 2 * time.Second

	// readyEvery is how often an enforcer that is not ready looks whether it is.
	readyEvery = 20 * time.Millisecond
)

// Run answers until ctx ends or something breaks. When ctx ends it says that it
// is not ready, finishes what it is doing, tells its peers what it admitted last,
// and returns nil.
func (e *Enforcer) Run(ctx context.Context) error {
	a := e.Addresses()
	e.opts.Log.Info("starting", "node", e.opts.Node, "version", e.opts.Version, "rls", a.RLS, "http", a.HTTP, "gossip", a.Gossip, "admin", a.Admin)

	// What runs in the background goes on while the front ends drain.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, background := errgroup.WithContext(background)
	g.Go(func() error { return e.transport.Run(background) })
	g.Go(func() error { return e.meet(background) })
	g.Go(func() error { e.policies.run(background); return nil })
	g.Go(func() error { e.keys.Run(background); return nil })
	g.Go(func() error { e.tls.Run(background); return nil })
	g.Go(func() error { e.announce(background); return nil })
	g.Go(func() error { return served("admin", serve(e.admin, e.listeners.admin)) })
	g.Go(func() error { return served("http", serve(e.http, e.listeners.http)) })
	g.Go(func() error { return served("rls", e.grpc.Serve(e.listeners.rls)) })

	select {
	case <-ctx.Done():
		e.opts.Log.Info("stopping")
	case <-background.Done(): // something broke
	}
	e.drain(background)
	e.leave(background)
	stop()
	err := errors.Join(e.admin.Close(), g.Wait())
	e.opts.Log.Info("stopped")
	return err
}

// serve answers until the server is closed.
func serve(s *http.Server, l net.Listener) error {
	if s.TLSConfig == nil {
		return s.Serve(l)
	}
	return s.ServeTLS(l, "", "")
}

// served makes nothing of the error that every server returns at its end.
func served(name string, err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("%s server: %w", name, err)
}

// announce tells gRPC health probes once the enforcer is ready.
func (e *Enforcer) announce(ctx context.Context) {
	every := time.NewTicker(readyEvery)
	defer every.Stop()
	for e.ready() != nil {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
	e.opts.Log.Info("ready")
	e.rls.SetServing(true)
	if e.stopping.Load() {
		e.rls.SetServing(false) // drain came in between
	}
}

// drain ends the front ends: no new calls, and those that are being answered are
// finished.
func (e *Enforcer) drain(ctx context.Context) {
	e.stopping.Store(true)
	e.rls.SetServing(false)
	e.announceLeave(ctx)
	if e.opts.PoolNamespace != "" {
		select {
		case <-time.After(noticeTime):
		case <-ctx.Done():
		}
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	forced := context.AfterFunc(limit, e.grpc.Stop)
	defer forced()
	if err := e.http.Shutdown(limit); err != nil {
		e.opts.Log.Warn("some HTTP calls were cut off", "error", err)
		_ = e.http.Close()
	}
	e.grpc.GracefulStop()
}

// announceLeave tells the others that this enforcer is going to stop: from now on
// they keep the books of what it kept, and it tells them at once what it takes.
func (e *Enforcer) announceLeave(ctx context.Context) {
	if e.membership == nil {
		return
	}
	limit, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	if err := e.membership.Leave(limit); err != nil {
		e.opts.Log.Warn("leaving", "error", err)
	}
}

// leave waits until the others know all that this enforcer took, and leaves the
// pool.
func (e *Enforcer) leave(ctx context.Context) {
	if e.membership == nil {
		return
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	poll := time.NewTicker(readyEvery)
	defer poll.Stop()
	for ctx.Err() == nil && limit.Err() == nil && !e.engine.Left() {
		select {
		case <-limit.Done():
		case <-poll.C:
		}
	}
	if err := e.membership.Stop(limit); err != nil {
		e.opts.Log.Warn("leaving", "error", err)
	}
}

// ready returns nil, or why the enforcer should get no traffic. A peer that is
// away is no reason: without it decisions are as good as they can be.
func (e *Enforcer) ready() error {
	switch {
	case e.stopping.Load():
		return errors.New("stopping")
	case e.engine.Snapshot() == nil:
		return errors.New("there is no policy document yet")
	case !e.engine.Joined():
		return errors.New("asking the peers for their counts")
	}
	return nil
}

// newHTTPServer bounds what a client can hold on to. Without a configuration of TLS it
// speaks plain text. What a client does wrong, such as a handshake that it gives up, is
// of interest only to who looks for it.
func (e *Enforcer) newHTTPServer(c *tls.Config, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, TLSConfig: c, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(e.opts.Log.Handler(), slog.LevelDebug),
	}
}
