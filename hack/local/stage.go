package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/loopback"
)

// options are the flags of every command.
type options struct {
	bin, assets string
	basePort    int
}

// stage is one run on this machine: a folder for its files, and what has to be
// stopped at its end: the programs, all at once, and then the rest, last first.
type stage struct {
	ctx     context.Context // a stage is one command: its context ends with it
	opts    options
	dir     string
	ports   *loopback.Ports // where any free one will do, nil where none will
	began   time.Time
	started []*process
	cleanup []func()
}

// newStage makes bin/local/NAME afresh, for logs and kubeconfigs.
func newStage(ctx context.Context, name string, opts options) (*stage, error) {
	dir, err := filepath.Abs(filepath.Join(opts.bin, "local", name))
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &stage{ctx: ctx, opts: opts, dir: dir, began: time.Now()}
	if name != "run" && name != "standalone" {
		s.ports = loopback.OfProcess()
	}
	return s, nil
}

func (s *stage) onClose(f func()) { s.cleanup = append(s.cleanup, f) }

// close ends everything that the stage started, and returns when it has ended.
func (s *stage) close() {
	for _, p := range s.started {
		p.terminate()
	}
	for _, p := range s.started {
		p.await()
	}
	s.started = nil
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
	s.cleanup = nil
}

// say prints one line of progress with the time since the start.
func (s *stage) say(format string, args ...any) {
	fmt.Printf("%6.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// address returns a loopback address for a role: base-port+offset, or one that is free
// now.
func (s *stage) address(offset int) (string, error) {
	if s.ports != nil {
		return s.ports.Free(s.ctx)
	}
	a, err := loopback.Free(s.ctx, s.opts.basePort+offset)
	if err != nil {
		return "", fmt.Errorf("%s is in use: stop what listens there, or choose other ports with --base-port (make run BASE_PORT=9100): %w", a, err)
	}
	return a, nil
}

// eventually calls ok until it holds, at most for the given time, and says how
// long that took.
func (s *stage) eventually(what string, within time.Duration, ok func() error) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for {
		err := ok()
		if err == nil {
			return time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%s: not within %v: %w", what, within, err)
		case <-every.C:
		}
	}
}
