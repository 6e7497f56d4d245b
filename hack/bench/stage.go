package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-dev/sluice/internal/loopback"
)

// stopTime is how long a program that was told to stop has for it.
const stopTime = 15 * time.Second

// stage is one run: a folder for its files, and the programs that it started and
// alone stops. It is used by one goroutine.
type stage struct {
	ctx         context.Context // a stage is one command: its context ends with it
	opts        options
	dir         string
	out, stderr io.Writer
	began       time.Time
	ports       *loopback.Ports
	started     []*process
}

// newStage makes the folder BIN/local/bench-PID.
func newStage(ctx context.Context, opts options, out, stderr io.Writer) (*stage, error) {
	dir, err := filepath.Abs(filepath.Join(opts.bin, "local", "bench-"+strconv.Itoa(os.Getpid())))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &stage{ctx: ctx, opts: opts, dir: dir, out: out, stderr: stderr, began: time.Now(), ports: loopback.From(opts.basePort)}, nil
}

// say prints a line of progress with the time since the start.
func (s *stage) say(format string, args ...any) {
	fmt.Fprintf(s.stderr, "%6.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// address returns a loopback address that is free now.
func (s *stage) address() (string, error) {
	address, err := s.ports.Free(s.ctx)
	if err != nil {
		return "", fmt.Errorf("choose another --base-port than %d: %w", s.opts.basePort, err)
	}
	return address, nil
}

// wait blocks for a time, or until the run is interrupted, which is an error.
func (s *stage) wait(d time.Duration) error {
	select {
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-time.After(d):
		return nil
	}
}

// eventually calls ok until it returns nil, at most for 30 seconds.
func (s *stage) eventually(what string, ok func() error) error {
	const within = 30 * time.Second
	for began := time.Now(); ; {
		err := ok()
		if err == nil {
			return nil
		}
		if time.Since(began) > within {
			return fmt.Errorf("%s: not within %v: %w", what, within, err)
		}
		if err := s.wait(20 * time.Millisecond); err != nil {
			return err
		}
	}
}

// process is a program that this run started. One that somebody else did has a name
// and a pid only.
type process struct {
	name string
	pid  int
	cmd  *exec.Cmd
	log  string // path of what it prints
	done chan struct{}
}

// asInAPod is what the operator tells Go in a pod that requests less than a core, as
// those of a pool do that says nothing of it (controllers/workload/runtime.go).
var asInAPod = []string{"GOMAXPROCS=1"}

// start runs a program with its output in NAME.log, and with env in its environment
// beside what is in ours. It gets a process group of its own, so that Ctrl-C reaches
// only this program, which then stops it.
func (s *stage) start(name string, env []string, path string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(path, args...), log: filepath.Join(s.dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the program has its own
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make build builds it): %w", name, err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	s.started = append(s.started, p)
	return p, nil
}

// failed returns an error with the end of the log once the program has ended.
func (p *process) failed() error {
	select {
	case <-p.done:
		text, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s ended (%v); the end of %s:\n%s", p.name, p.cmd.ProcessState, p.log, text[max(0, len(text)-2000):])
	default:
		return nil
	}
}

// stop ends programs together: first asked, then, when they take too long,
// killed. What has ended already is left alone.
func stop(all []*process) {
	for _, p := range all {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	limit := time.After(stopTime)
	for _, p := range all {
		select {
		case <-p.done:
		case <-limit:
			limit = time.After(0) // nor have the others any time left
			p.kill()
		}
	}
}

// kill ends the program without warning, as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // which fails only if it has ended
	<-p.done
}

// close ends all programs of the run.
func (s *stage) close() {
	stop(s.started)
	s.started = nil
}

// ticksPerSecond is the unit of /proc/PID/stat: USER_HZ, 100 on every Linux.
const ticksPerSecond = 100

// cpu returns the processor time of a program so far, user and system.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, fmt.Errorf("the processor time of %s: %w", p.name, err)
	}
	return parseStat(string(text))
}

// parseStat reads user and system time from a line of /proc/PID/stat. The name of
// the program, in parentheses, may hold anything.
func parseStat(line string) (time.Duration, error) {
	const user, system = 11, 12 // counted from behind the name
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) <= system {
		return 0, fmt.Errorf("%q is no line of /proc/PID/stat", line)
	}
	var ticks int64
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no line of /proc/PID/stat: %w", line, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// cpuOf sums the processor time of several programs.
func cpuOf(all []*process) (total time.Duration, err error) {
	for _, p := range all {
		used, err := p.cpu()
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

// loadAverage is how many tasks of this machine wanted to run in the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
