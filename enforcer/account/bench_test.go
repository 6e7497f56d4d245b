package account_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const million = 1_000_000

// million keys that all expire a second after start.
func expiring(b *testing.B) (*account.Store, account.Ref) {
	s := newStore(b, account.Options{MaxKeys: 2 * million})
	ref := meters(s, bucket(10, limit.Second, 10))[0]
	for i := range uint64(million) {
		s.Charge(start, []account.Charge{{Key: key(i), Meter: ref, Cost: 10}})
	}
	return s, ref
}

// lengths are how long many things took: their number, and those that took more
// than a microsecond.
type lengths struct {
	n    int
	long []time.Duration
}

func (l *lengths) add(d time.Duration) {
	if l.n++; d > time.Microsecond {
		l.long = append(l.long, d)
	}
}

// report tells, in microseconds, what one of so many exceeded, and the longest;
// below 1 is 0.
func (l *lengths) report(b *testing.B, name string, ofMany ...int) {
	slices.Sort(l.long)
	from := func(longest int) float64 {
		if at := len(l.long) - 1 - longest; at >= 0 {
			return float64(l.long[at].Nanoseconds()) / 1000
		}
		return 0
	}
	for _, n := range ofMany {
		b.ReportMetric(from(l.n/n), fmt.Sprintf("%s-1in%d-µs", name, n))
	}
	b.ReportMetric(from(0), name+"-max-µs")
}

// BenchmarkExpiryUnderOneLock measures how long expiry holds one lock: it gives a
// call a budget of one batch, which is spent under the first lock that has one.
func BenchmarkExpiryUnderOneLock(b *testing.B) {
	var held lengths
	forgotten := 0
	for b.Loop() {
		b.StopTimer()
		s, _ := expiring(b)
		now := start.Add(limit.Second + 200*limit.Millisecond)
		b.StartTimer()
		for s.Stats().Keys > 0 {
			for range 100 {
				began := time.Now()
				n := s.Expire(now, account.ExpireBatch)
				if n > 0 {
					held.add(time.Since(began))
				}
				forgotten += n
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(forgotten), "ns/key")
	b.ReportMetric(0, "ns/op")
	held.report(b, "held", 2, 100)
}

// BenchmarkDecisionsWhileAMillionKeysExpire measures decisions one by one, while
// another goroutine forgets a million counters as an enforcer does, and while it
// finds nothing to forget. The machine takes the processor away now and then in
// both.
func BenchmarkDecisionsWhileAMillionKeysExpire(b *testing.B) {
	var quiet, busy lengths
	for b.Loop() {
		s, ref := expiring(b)
		decisions(s, ref, start.Add(limit.Millisecond), &quiet)
		decisions(s, ref, start.Add(2*limit.Second), &busy)
		if n := s.Stats().Expired; n < million {
			b.Fatalf("%d counters expired, want %d", n, million)
		}
	}
	b.ReportMetric(0, "ns/op")
	quiet.report(b, "quiet", 1000, 10_000)
	busy.report(b, "expiring", 1000, 10_000)
}

// decisions decides on a thousand other clients for two seconds while counters
// expire, and notes how long each decision took.
func decisions(s *account.Store, ref account.Ref, now limit.Instant, took *lengths) {
	const long, every = 2 * time.Second, 20 * time.Millisecond
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				s.Expire(now, 50_000)
			}
		}
	})
	charges := make([]account.Charge, 1)
	began := time.Now()
	for last := began; last.Sub(began) < long; {
		charges[0] = account.Charge{Key: key(uint64(2*million + took.n%1000)), Meter: ref, Cost: 1}
		s.Charge(now, charges)
		at := time.Now()
		took.add(at.Sub(last))
		last = at
	}
	close(stop)
	done.Wait()
}
