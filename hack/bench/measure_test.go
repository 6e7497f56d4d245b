package main

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
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

func TestWorstWindowIsThatOfEveryStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 50).Draw(t, "at")) * time.Second
		})).Draw(t, "times")
		slices.Sort(times)
		length := time.Duration(rapid.IntRange(1, 20).Draw(t, "length")) * time.Second
		want := 0
		for _, from := range times {
			want = max(want, within(times, from, from+length))
		}
		if got := worstWindow(times, length); got != want {
			t.Errorf("worstWindow(%v, %v) = %d, want %d", times, length, got, want)
		}
	})
}

// steady is a load of one client, evenly for some seconds, of which admitted says
// which calls were admitted.
func steady(perSecond, seconds int, admitted func(call int) bool) *offered {
	o := &offered{}
	for i := range perSecond * seconds {
		at := time.Duration(i) * time.Second / time.Duration(perSecond)
		o.answers = append(o.answers, answer{sent: at, came: at, admitted: admitted(i)})
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

func TestFarther(t *testing.T) {
	for _, tc := range []struct{ a, b, want float64 }{{0, 1, 1}, {1, 1.01, 1.01}, {.98, 1.01, .98}, {1.03, .96, .96}} {
		if got := farther(tc.a, tc.b); got != tc.want {
			t.Errorf("farther(%v, %v) = %v, want %v", tc.a, tc.b, got, tc.want)
		}
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
