package transport_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/clock"
	"github.com/sluice-dev/sluice/enforcer/internal/transport"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

func BenchmarkFrame(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		name, options := "plain", keys(nil)
		if keyed {
			name, options = "sealed", keys(ring(b, 1))
		}
		b.Run(name, func(b *testing.B) {
			tr := open(b, &quiet{}, options)
			defer tr.Close()
			d, to, frame := transport.NewDriver(tr), tr.Addr().String(), make([]byte, 300)
			b.ReportAllocs()
			for b.Loop() {
				for range 16 {
					d.Send(to, frame)
				}
				for came := 0; came < 16; {
					n, err := d.Drain()
					if err != nil {
						b.Fatal(err)
					}
					came += n
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/frame")
		})
	}
}

// BenchmarkAtRest measures the share of a core that a transport takes which
// nobody talks to: what its ticks cost.
func BenchmarkAtRest(b *testing.B) {
	for _, span := range []limit.Span{gossip.Idle, gossip.Interval, gossip.Urgent} {
		b.Run(span.Duration().String(), func(b *testing.B) {
			tr := open(b, says().every(span))
			stop := start(b, tr)
			from := cpuTime(b)
			for b.Loop() {
				<-time.After(100 * time.Millisecond)
			}
			b.ReportMetric(100*float64(cpuTime(b)-from)/float64(b.Elapsed()), "%core")
			stop()
		})
	}
}

// BenchmarkWake measures what a request pays for Wake: mostly the driver was
// woken already, or is going to tick soon.
func BenchmarkWake(b *testing.B) {
	tr := run(b, says().every(gossip.Interval))
	b.ReportAllocs()
	for b.Loop() {
		tr.Wake()
	}
}

// stamped is a Node that sends the time at its ticks, and writes down how old the
// times are that it gets.
type stamped struct {
	to    string // nobody if empty
	clock *clock.Clock
	span  limit.Span
	out   [300]byte

	mu   sync.Mutex
	ages []limit.Span
}

func (s *stamped) Tick(_ limit.Instant, out gossip.Outbox) limit.Span {
	if s.to != "" {
		binary.BigEndian.PutUint64(s.out[:], uint64(s.clock.Now()))
		out.Send(s.to, s.out[:])
	}
	return s.span
}

func (s *stamped) Receive(_ limit.Instant, _ string, frame []byte, _ gossip.Outbox) error {
	age := s.clock.Now().Sub(limit.Instant(binary.BigEndian.Uint64(frame)))
	s.mu.Lock()
	s.ages = append(s.ages, age)
	s.mu.Unlock()
	return nil
}

func (*stamped) Flush(limit.Instant, gossip.Outbox) {}

// BenchmarkOneWay measures how long a frame takes from a Tick to the peer's
// Receive, by the number of peers that send to the one that measures, and the time
// between their ticks. The oversleep is what a timer of 1 ms is late at the same
// time: what the machine adds.
func BenchmarkOneWay(b *testing.B) {
	for _, c := range []struct {
		peers int
		span  limit.Span
	}{{1, gossip.Interval}, {1, gossip.Urgent}, {4, gossip.Interval}, {4, gossip.Urgent}} {
		b.Run(fmt.Sprintf("%d peers, %s", c.peers, c.span.Duration()), func(b *testing.B) {
			now := clock.New()
			heard := &stamped{clock: now, span: c.span}
			to := run(b, heard)
			for range c.peers {
				run(b, &stamped{clock: now, span: c.span, to: to.Addr().String()})
			}
			var late []limit.Span
			for b.Loop() {
				before := now.Now()
				<-time.After(time.Millisecond)
				late = append(late, now.Now().Sub(before)-limit.Millisecond)
			}
			heard.mu.Lock()
			defer heard.mu.Unlock()
			report(b, heard.ages, "frame")
			report(b, late, "oversleep")
		})
	}
}

// report reports the median and the 99th percentile of spans.
func report(b *testing.B, spans []limit.Span, what string) {
	slices.Sort(spans)
	if n := len(spans); n > 0 {
		b.ReportMetric(float64(spans[n/2])/1e3, "µs-median-"+what)
		b.ReportMetric(float64(spans[n*99/100])/1e3, "µs-p99-"+what)
	}
}

// cpuTime returns the time that this process has spent on a CPU.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
