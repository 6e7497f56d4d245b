package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// comeBack is how long a program that ended stays away while it is kept up: long
// enough to see what the others do without it.
const comeBack = 5 * time.Second

// process is a program that this run started, and alone stops. Its methods are
// called by one goroutine at a time.
type process struct {
	name string
	args []string
	cmd  *exec.Cmd
	log  string // path of what it prints
	pid  string // path of a file with its process ID
	done chan error
}

// start runs a binary with its output in NAME.log. The process gets a group of
// its own, so that Ctrl-C reaches only this program, which then stops the
// others. Its process ID is in NAME.pid.
func (s *stage) start(name, binary string, args ...string) (*process, error) {
	path, err := filepath.Abs(filepath.Join(s.opts.bin, binary))
	if err != nil {
		return nil, err
	}
	p := &process{name: name, args: append([]string{path}, args...), log: filepath.Join(s.dir, name+".log"), pid: filepath.Join(s.dir, name+".pid")}
	if err := p.restart(); err != nil {
		return nil, err
	}
	s.started = append(s.started, p)
	return p, nil
}

// restart starts the program, again after kill.
func (p *process) restart() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the program has its own
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s (make build builds it): %w", p.name, err)
	}
	p.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(p.cmd, p.done)
	return os.WriteFile(p.pid, []byte(strconv.Itoa(p.cmd.Process.Pid)+"\n"), 0o644)
}

// keepUp starts each program again that ends, as a cluster would, until the
// stage's context ends.
func (s *stage) keepUp(all []*process) {
	var watching sync.WaitGroup
	for _, p := range all {
		watching.Go(func() {
			for s.ended(p) {
				s.say("%s ended (%v); it comes back in %v", p.name, p.cmd.ProcessState, comeBack)
				if sleepUntil(s.ctx, time.Now().Add(comeBack)) != nil {
					return
				}
				if err := p.restart(); err != nil {
					s.say("%s does not come back: %v", p.name, err)
					return
				}
				s.say("%s is back", p.name)
			}
		})
	}
	watching.Wait()
}

// ended blocks until a program has ended, or the stage's context, which is false.
func (s *stage) ended(p *process) bool {
	select {
	case <-s.ctx.Done():
		return false
	case err := <-p.done:
		p.done <- err
		return s.ctx.Err() == nil
	}
}

// failed returns an error with the end of the log once the program has ended.
func (p *process) failed() error {
	select {
	case err := <-p.done:
		p.done <- err
		text, _ := os.ReadFile(p.log)
		if len(text) > 2000 {
			text = text[len(text)-2000:]
		}
		return fmt.Errorf("%s ended (%v); the end of %s:\n%s", p.name, p.cmd.ProcessState, p.log, text)
	default:
		return nil
	}
}

// terminate asks the program to end. It is asked once: a manager that is asked
// twice ends without cleaning up. One that has ended already cannot be asked.
func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// await waits until the program has ended, and kills it after ten seconds.
func (p *process) await() {
	select {
	case err := <-p.done:
		p.done <- err
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// kill ends the program without warning, as a crash would.
func (p *process) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintf(os.Stderr, "kill %s: %v\n", p.name, err)
		return
	}
	err := <-p.done
	p.done <- err
}
