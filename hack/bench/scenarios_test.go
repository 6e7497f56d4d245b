package main

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/load"
)

func TestParseStat(t *testing.T) {
	line := "4711 (a ) b (c) S 1 4711 4711 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 9 0 1 2 3"
	got, err := parseStat(line)
	if want := 1750 * time.Millisecond; err != nil || got != want {
		t.Errorf("parseStat(%q) = %v, %v, want %v", line, got, err, want)
	}
	for _, bad := range []string{"", "1 (a) S 1", "1 (a) S 1 1 1 0 -1 1 1 0 0 0 x 25"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %v, want an error", bad, got)
		}
	}
}

// steady is a load of one client, evenly for some seconds, of which admitted says
// which calls were admitted.
func steady(perSecond, seconds int, admitted func(call int) bool) *load.Offered {
	o := &load.Offered{}
	for i := range perSecond * seconds {
		at := time.Duration(i) * time.Second / time.Duration(perSecond)
		o.Answers = append(o.Answers, load.Answer{Sent: at, Came: at, Admitted: admitted(i)})
	}
	return o
}

func TestFigures(t *testing.T) {
	q := quota{domain: "d", requests: 100, per: "1s", seconds: 1, burst: 100}
	for name, tc := range map[string]struct {
		perSecond     int
		admitted      func(call int) bool
		steady, exact float64
		window        float64
		refused       int
		met           bool
	}{
		"an exact limiter after its burst": {
			300, func(i int) bool { return i < 150 || i%3 == 0 }, 1, 1, 1, 0, true,
		},
		"a tenth too much": {300, func(i int) bool { return i%30 < 11 }, 1.1, 1.1, 1, 0, false},
		"a tenth too little, because it is asked for no more": {
			90, func(int) bool { return true }, .9, 1, .818, 0, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := scenario{quota: q, clients: 1, factor: float64(tc.perSecond) / 100}
			f := c.figure(steady(tc.perSecond, 20, tc.admitted), 5*time.Second, 20*time.Second)
			for what, pair := range map[string][2]float64{
				"to limit": {f.steady, tc.steady}, "to exact": {f.exact, tc.exact}, "offered": {f.offered, 1}, "worst window": {f.window, tc.window},
			} {
				if math.Abs(pair[0]-pair[1]) > .003 {
					t.Errorf("%s %.4f, want %.4f", what, pair[0], pair[1])
				}
			}
			if got := f.met(&c); got != tc.met {
				t.Errorf("goals met: %v, want %v", got, tc.met)
			}
		})
	}
}

func TestRefusalsUnderTheLimitMissTheGoal(t *testing.T) {
	q := quota{domain: "d", requests: 100, per: "1s", seconds: 1, burst: 100}
	c := scenario{quota: q, clients: 1, factor: .9, kind: under}
	for refused, want := range map[int]bool{0: true, 1: false} {
		f := c.figure(steady(90, 20, func(i int) bool { return i >= refused }), 5*time.Second, 20*time.Second)
		if f.refused != refused || f.met(&c) != want {
			t.Errorf("%d refused of %d: goals met %v, want %v", f.refused, refused, f.met(&c), want)
		}
	}
}

func TestALoadThatWasNotOfferedMeetsNoGoal(t *testing.T) {
	f := figures{offered: .8, steady: 1, exact: 1, window: .9}
	if c := (scenario{quota: quota{requests: 100, seconds: 1}}); f.met(&c) {
		t.Error("four fifths of the load met the goal")
	}
}

func TestMedian(t *testing.T) {
	of := func(r result) float64 { return r.perSecond }
	for want, all := range map[float64][]result{2: {{perSecond: 9}, {perSecond: 1}, {perSecond: 2}}, 3: {{perSecond: 4}, {perSecond: 2}}} {
		if got := median(all, of); got != want {
			t.Errorf("median of %v = %v, want %v", fmt.Sprint(all), got, want)
		}
	}
}
