package account_test

import (
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

// quantiles reports the median, the 10,000th longest part and the longest of some
// durations.
func quantiles(b *testing.B, name string, all []time.Duration) {
	slices.Sort(all)
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	b.ReportMetric(micros(all[len(all)/2]), name+"-p50-µs")
	b.ReportMetric(micros(all[len(all)-1-len(all)/10_000]), name+"-p9999-µs")
	b.ReportMetric(micros(all[len(all)-1]), name+"-max-µs")
}

// BenchmarkExpiryUnderOneLock measures how long expiry holds one lock: it gives a
// call a budget of one batch, which is spent under the first lock that has one.
func BenchmarkExpiryUnderOneLock(b *testing.B) {
	var held []time.Duration
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
					held = append(held, time.Since(began))
				}
				forgotten += n
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(forgotten), "ns/key")
	b.ReportMetric(0, "ns/op")
	quantiles(b, "held", held)
}

// BenchmarkDecisionsWhileAMillionKeysExpire measures decisions one by one, while
// another goroutine forgets a million counters as an enforcer does, and while it
// finds nothing to forget. The machine takes the processor away now and then in
// both.
func BenchmarkDecisionsWhileAMillionKeysExpire(b *testing.B) {
	var quiet, busy []time.Duration
	for b.Loop() {
		s, ref := expiring(b)
		quiet = append(quiet, decisions(s, ref, start.Add(limit.Millisecond))...)
		busy = append(busy, decisions(s, ref, start.Add(2*limit.Second))...)
		if n := s.Stats().Expired; n < million {
			b.Fatalf("%d counters expired, want %d", n, million)
		}
	}
	b.ReportMetric(0, "ns/op")
	quantiles(b, "quiet", quiet)
	quantiles(b, "expiring", busy)
}

// decisions decides on a thousand other clients for two seconds while counters
// expire, and returns how long each decision took.
func decisions(s *account.Store, ref account.Ref, now limit.Instant) []time.Duration {
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
	took := make([]time.Duration, 0, 1<<24)
	charges := make([]account.Charge, 1)
	began := time.Now()
	for last := began; last.Sub(began) < long; {
		charges[0] = account.Charge{Key: key(uint64(2*million + len(took)%1000)), Meter: ref, Cost: 1}
		s.Charge(now, charges)
		at := time.Now()
		took, last = append(took, at.Sub(last)), at
	}
	close(stop)
	done.Wait()
	return took
}
