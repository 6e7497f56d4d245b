package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/clock"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

func TestNowIsTheStartPlusTheTimeThatPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := limit.InstantOf(time.Now())
		c := clock.New()
		if got := c.Now(); got != start {
			t.Errorf("at the start Now() = %v, want %v", got.Time(), start.Time())
		}
		<-time.After(90 * time.Minute)
		if got, want := c.Now(), start.Add(90*limit.Minute); got != want {
			t.Errorf("after 90 minutes Now() = %v, want %v", got.Time(), want.Time())
		}
	})
}

func TestNowNeverStepsBack(t *testing.T) {
	c := clock.New()
	last := c.Now()
	for range 100_000 {
		now := c.Now()
		if now < last {
			t.Fatalf("Now() went from %d to %d", last, now)
		}
		last = now
	}
}
