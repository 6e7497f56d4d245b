package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// newTestStage makes a stage whose programs are those of /bin.
func newTestStage(t *testing.T) *stage {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("there is no /bin/sh to start")
	}
	s := &stage{ctx: t.Context(), opts: options{bin: "/bin"}, dir: t.TempDir(), began: time.Now()}
	t.Cleanup(s.close)
	return s
}

func start(t *testing.T, s *stage, script string) *process {
	t.Helper()
	p, err := s.start("program", "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// said waits until a program has written a line to its log.
func said(t *testing.T, s *stage, p *process, line string, times int) {
	t.Helper()
	_, err := s.eventually(line, 20*time.Second, func() error {
		text, err := os.ReadFile(p.log)
		if err == nil && strings.Count(string(text), line) < times {
			err = os.ErrNotExist
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAProgramThatEndsIsReportedWithItsLog(t *testing.T) {
	s := newTestStage(t)
	p := start(t, s, "echo the disk is full; exit 3")
	if !s.ended(p) {
		t.Fatal("the context ended first")
	}
	err := p.failed()
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("error %v, want the exit code and what it said", err)
	}
}

func TestTheMemoryOfAProgram(t *testing.T) {
	s := newTestStage(t)
	p := start(t, s, "exec sleep 60")
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc")
	}
	_, err := s.eventually("it is loaded", 20*time.Second, func() error {
		now, most, err := p.memory()
		if err == nil && (now < 100e3 || now > 100e6 || most < now) {
			err = fmt.Errorf("%.0f bytes are resident, at most %.0f", now, most)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAProgramIsStartedAgainUnderANewID(t *testing.T) {
	s := newTestStage(t)
	p := start(t, s, "echo up; exec sleep 60")
	said(t, s, p, "up", 1)
	if err := p.failed(); err != nil {
		t.Errorf("it runs, but %v", err)
	}
	first := p.cmd.Process.Pid
	p.kill()
	if err := p.restart(); err != nil {
		t.Fatal(err)
	}
	said(t, s, p, "up", 2)
	text, err := os.ReadFile(p.pid)
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || id == first || id != p.cmd.Process.Pid {
		t.Errorf("%s says %d (%v); it was %d and is %d", p.pid, id, err, first, p.cmd.Process.Pid)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	s := newTestStage(t)
	// The second one has ended before; the third takes its time.
	all := []*process{
		start(t, s, "exec sleep 60"),
		start(t, s, "exit 0"),
		start(t, s, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"),
	}
	said(t, s, all[2], "up", 1)
	s.close()
	for i, p := range all {
		if p.cmd.ProcessState == nil {
			t.Errorf("program %d still runs", i)
		}
	}
	said(t, s, all[2], "bye", 1)
}

func TestTrafficIsSpreadByItsShares(t *testing.T) {
	load := traffic{share: demoShare}
	got := make([]int, len(demoShare))
	for i := range 1000 {
		got[load.pick(i)]++
	}
	for i, share := range demoShare {
		if got[i] != 10*share {
			t.Errorf("enforcer %d gets %d of 1000 requests, want %d %%", i, got[i], share)
		}
	}
}
