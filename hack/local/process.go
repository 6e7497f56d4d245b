package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a program that this run started, and alone stops.
type process struct {
	name string
	args []string
	cmd  *exec.Cmd
	log  string
	done chan error
}

// start runs a binary with its output in NAME.log. The process gets a group of
// its own, so that Ctrl-C reaches only this program, which then stops the
// others in order.
func (s *stage) start(name, binary string, args ...string) (*process, error) {
	path, err := filepath.Abs(filepath.Join(s.opts.bin, binary))
	if err != nil {
		return nil, err
	}
	p := &process{name: name, args: append([]string{path}, args...), log: filepath.Join(s.dir, name+".log")}
	if err := p.restart(); err != nil {
		return nil, err
	}
	s.onClose(p.stop)
	return p, nil
}

// restart starts the program, again after kill or stop.
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
	return nil
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

// stop asks the program to end, and kills it after ten seconds.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
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
