package load

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWorstWindowIsThatOfEveryStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 50).Draw(t, "at")) * time.Second
		})).Draw(t, "times")
		slices.Sort(times)
		length := time.Duration(rapid.IntRange(1, 20).Draw(t, "length")) * time.Second
		want := 0
		for _, from := range times {
			want = max(want, Within(times, from, from+length))
		}
		if got := WorstWindow(times, length); got != want {
			t.Errorf("WorstWindow(%v, %v) = %d, want %d", times, length, got, want)
		}
	})
}

func TestFarther(t *testing.T) {
	for _, tc := range []struct{ a, b, want float64 }{{0, 1, 1}, {1, 1.01, 1.01}, {.98, 1.01, .98}, {1.03, .96, .96}} {
		if got := Farther(tc.a, tc.b); got != tc.want {
			t.Errorf("Farther(%v, %v) = %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}

// calls draws calls of one client, of which all were admitted.
func calls(t *rapid.T) Offered {
	return Offered{Answers: rapid.SliceOf(rapid.Custom(func(t *rapid.T) Answer {
		a := Answer{Sent: time.Duration(rapid.IntRange(0, 30).Draw(t, "sent")) * time.Second, Admitted: true}
		a.Came = a.Sent + time.Duration(rapid.IntRange(0, 9).Draw(t, "took"))*time.Second
		return a
	})).Draw(t, "calls")}
}

// A window of which more calls were both sent and answered within it than rate and
// burst allow proves that a limiter was not exact; and where there is none, one exact
// limiter could have admitted all.
func TestBeyondAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, limit := calls(t), Limit{PerSecond: 1, Burst: rapid.IntRange(1, 4).Draw(t, "burst")}
		proof := false
		for _, first := range o.Answers {
			for _, last := range o.Answers {
				n := 0
				for _, a := range o.Answers {
					if a.Sent >= first.Sent && a.Came <= last.Came {
						n++
					}
				}
				proof = proof || n > 0 && float64(n) > float64(limit.Burst)+(last.Came-first.Sent).Seconds()
			}
		}
		if got := o.Beyond(limit, 1)[0]; (got > 0) != proof {
			t.Errorf("%d calls beyond %+v of %v; a window proves it: %v", got, limit, o.Answers, proof)
		}
	})
}

func TestWhatAnExactLimiterAdmitsIsNotBeyondIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, limit := calls(t), Limit{PerSecond: .7, Burst: 3}
		slices.SortFunc(o.Answers, func(a, b Answer) int { return int(a.Came - b.Came) })
		exact := Offered{}
		for _, at := range o.Exact(limit, 1)[0] {
			exact.Answers = append(exact.Answers, Answer{Sent: at, Came: at, Admitted: true})
		}
		if beyond, debt := exact.Beyond(limit, 1)[0], exact.Debt(limit, 1)[0]; beyond != 0 || debt > 1e-6 {
			t.Errorf("%d beyond, %v owed, of %v", beyond, debt, exact.Answers)
		}
	})
}

func TestExcessIsWhatAStrictBucketDoesNotHave(t *testing.T) {
	limit := Limit{PerSecond: 10, Burst: 5}
	const s = time.Second
	for _, c := range []struct {
		name string
		came []time.Duration
		want []Excess
	}{
		{"the burst", []time.Duration{0, 0, 0, 0, 0}, nil},
		{"one more", []time.Duration{0, 0, 0, 0, 0, 0}, []Excess{{0, 1}}},
		{"too early", []time.Duration{0, 0, 0, 0, 0, s / 20}, []Excess{{s / 20, .5}}},
		{"in time after one too early", []time.Duration{0, 0, 0, 0, 0, s / 20, s * 3 / 20}, []Excess{{s / 20, .5}}},
		{"what was not used", []time.Duration{0, 0, 0, 0, 0, s / 2, s / 2, s / 2, s / 2, s / 2}, nil},
	} {
		o := Offered{Answers: []Answer{{Client: 1, Admitted: true, Came: 0}}}
		for _, at := range c.came {
			o.Answers = append(o.Answers, Answer{Admitted: true, Came: at}, Answer{Came: at})
		}
		if got := o.Excess(limit, 2); !slices.Equal(got, c.want) {
			t.Errorf("%s: Excess() = %v, want %v", c.name, got, c.want)
		}
	}
}
