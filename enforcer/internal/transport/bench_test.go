package transport_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/transport"
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
	awake, asleep := &sleeper{node: says()}, &sleeper{node: says()}
	asleep.idle.Store(true)
	for name, n := range map[string]*sleeper{"awake": awake, "asleep": asleep} {
		b.Run(name, func(b *testing.B) {
			tr := open(b, n)
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

// cpuTime returns the time that this process has spent on a CPU.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
