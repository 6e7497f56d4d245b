package lease

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// A sliding window goes on at another node as it was: nothing slides out of it earlier,
// and nothing later if it was not long under way.
func TestASlidingWindowIsToldWithItsPast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		per := limit.Span(rapid.SampledFrom([]int64{1000, 7000, 60_000}).Draw(t, "per")) * limit.Millisecond
		p, err := decide.SlidingWindow(1000, per)
		if err != nil {
			t.Fatal(err)
		}
		now, s := limit.Instant(limit.Day), decide.State{}
		pass := func(name string, most limit.Span) {
			now = now.Add(limit.Span(rapid.Int64Range(0, int64(most)).Draw(t, name)))
		}
		for range rapid.IntRange(1, 6).Draw(t, "times") {
			pass("passes", per/2)
			s = p.Debit(s, now, limit.Amount(rapid.IntRange(0, 300).Draw(t, "used")))
		}
		used, told := p.Used(s, now), pastOf(&p, s, now)
		quick := rapid.Bool().Draw(t, "quick")
		if quick {
			pass("under way", Interval)
		} else {
			pass("under way", 2*per)
		}
		there := told.state(&p, used, now)
		for range 20 {
			is, was := p.Used(there, now), p.Used(s, now)
			if is < was || quick && is > was+3 {
				t.Fatalf("%d are used of what was told, and %d of what is", is, was)
			}
			now = now.Add(per / 13)
		}
	})
}
