package share_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// taking is the report of a node that takes and asks for the same rate.
func taking(taken int64, level, rate float64) share.Report {
	return share.Report{Taken: taken, Level: level, Rate: rate, Demand: rate, Era: 1, Fresh: true}
}

func TestWhoIsTold(t *testing.T) {
	ms, s := limit.Millisecond, limit.Second
	type step struct {
		at   limit.Span
		node int32 // that reports; 0: nobody
		rep  share.Report
		want []int32 // who is told then
		rest bool    // all others are told as well
	}
	wide := must(decide.FixedWindow(100_000, 100*s)) // 1000 a second
	for _, c := range []struct {
		name   string
		params decide.Params
		steps  []step
	}{
		{"a node that takes part is told at once", wide, []step{
			{node: 1, rep: taking(1000, 99_000, 5), want: []int32{1}},
			{at: 50 * ms},
		}},
		{"a node that only told what it took is not", wide, []step{
			{node: 1, rep: taking(1000, 99_000, 0)},
			{at: 50 * ms},
			{at: 6 * s},
		}},
		{"a node whose view is as expected is not told again", wide, []step{
			{node: 1, rep: taking(1000, 99_000, 5), want: []int32{1}},
			{at: 100 * ms, node: 1, rep: taking(1010, 98_990, 5)},
		}},
		{"what others take makes a view wrong", wide, []step{
			{node: 1, rep: taking(1000, 99_000, 5), want: []int32{1}},
			{at: ms, node: 2, rep: taking(1000, 98_000, 0)},
			{at: 2 * ms, node: 2, rep: taking(12_000, 87_000, 0), want: []int32{1, 2}}, // 2 has to tell exactly from now on
			{at: 3 * ms, node: 2, rep: taking(13_000, 86_000, 0)},
		}},
		{"a node that says itself that it is wrong is corrected", wide, []step{
			{node: 1, rep: taking(1000, 99_000, 5), want: []int32{1}},
			{at: ms, node: 1, rep: taking(1000, 70_000, 5), want: []int32{1}}, // nothing that the home knows of explains that
			{at: 2 * ms},
		}},
		{"a node that took is not wrong by it", wide, []step{
			{node: 1, rep: taking(1000, 99_000, 5), want: []int32{1}},
			{at: ms, node: 1, rep: taking(31_000, 69_000, 5)},
		}},
		{"when little is left everybody hears of it, in steps", hourly, []step{
			{node: 1, rep: taking(50, 950, 0)},
			{at: ms, node: 1, rep: taking(490, 510, 0), want: []int32{1}},
			{at: 2 * ms, node: 1, rep: taking(510, 490, 0), rest: true},
			{at: 3 * ms, node: 1, rep: taking(511, 489, 0), rest: true}, // of a slow limit every token counts
			{at: 4 * ms},
		}},
		{"near the limit those who take little are told again to tell exactly", hourly, []step{
			{node: 1, rep: taking(600, 400, 0), want: []int32{1}, rest: true},
			{at: 2 * s},
			{at: 3 * s, want: []int32{1}},
			{at: 4 * s},
			{at: 6 * s, want: []int32{1}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks(c.params, 3, start)
			for i, step := range c.steps {
				at := start.Add(step.at)
				if step.node != 0 {
					b.apply(at, step.node, uint32(i), step.rep)
				}
				b.check(at, -1, -1)
				if len(b.told) != len(step.want) || len(b.rest) > 0 != step.rest {
					t.Fatalf("step %d: told %v and %d times all others, want %v and %v", i, b.told, len(b.rest), step.want, step.rest)
				}
				for _, node := range step.want {
					if _, ok := b.told[node]; !ok {
						t.Fatalf("step %d: told %v, want %v", i, b.told, step.want)
					}
				}
			}
		})
	}
}

func TestWhatIsTold(t *testing.T) {
	b := newBooks(must(decide.FixedWindow(10_000, limit.Hour)), 4, start)
	b.apply(start, 1, 1, share.Report{Taken: 100, Rate: 10, Demand: 30, Level: 9900, Era: 7, Fresh: true})
	b.apply(start, 2, 1, share.Report{Taken: 50, Rate: 20, Demand: 40, Level: 9950, Era: 8, Fresh: true})
	b.check(start, 0, -1)
	for node, want := range map[int32]share.State{
		1: {Level: 9850, Rate: 20, Demand: 40, Others: 1, Line: true, Seen: 100, Era: 7},
		2: {Level: 9850, Rate: 10, Demand: 30, Others: 1, Line: true, Seen: 50, Era: 8},
	} {
		if got := b.told[node]; got != want {
			t.Errorf("node %d was told %+v, want %+v", node, got, want)
		}
	}
	// The rest hears nothing while there is enough.
	if len(b.rest) > 0 {
		t.Errorf("all others were told %v", b.rest)
	}
	if s := b.State(&b.params, &b.rule, start); s.Line || s.Level != 9850 || s.Rate != 30 || s.Demand != 70 {
		t.Errorf("a node that has not touched the counter is told %+v", s)
	}

	// Half a token of an extrapolated line: Seen is whole, and Level fits to it.
	at := start.Add(1_050 * limit.Millisecond)
	b.apply(at, 2, 2, share.Report{Taken: 9000, Rate: 20, Demand: 40, Level: 500, Era: 8})
	b.check(at, 0, -1)
	if got := b.told[1]; got.Seen != 110 || got.Level != 900-10.5+.5 {
		t.Errorf("node 1 was told %+v, want that 110 of its tokens were seen, and 890 left", got)
	}
}

func TestTheHomesOwnNodeIsToldOfTheLeastDifference(t *testing.T) {
	b := newBooks(hourly, 3, start)
	b.apply(start, 0, 1, taking(1, 999, 0))
	told := func(what string, want bool) {
		t.Helper()
		if _, ok := b.told[0]; ok != want || len(b.told) > 1 {
			t.Errorf("%s: told %v", what, b.told)
		}
	}
	b.check(start, 0, -1)
	told("at first", true)
	b.check(start.Add(limit.Millisecond), 0, -1)
	told("nothing new", false)
	b.apply(start.Add(2*limit.Millisecond), 1, 1, taking(1, 998, 0))
	b.check(start.Add(2*limit.Millisecond), 0, -1)
	told("another node took a token", true)
	b.apply(start.Add(3*limit.Millisecond), 0, 2, taking(2, 997, 0))
	b.check(start.Add(3*limit.Millisecond), 0, -1)
	told("it took one itself", false)
}

func TestTheHeirIsToldInStepsOfAnEighth(t *testing.T) {
	b := newBooks(hourly, 3, start)
	told := 0
	for taken := int64(1); taken <= 480; taken++ {
		at := start.Add(limit.Span(taken) * limit.Millisecond)
		b.apply(at, 1, uint32(taken), taking(taken, float64(1000-taken), 0))
		b.check(at, 1, 2)
		if s, ok := b.told[2]; ok {
			told++
			near(t, "the level that the heir is told", s.Level, float64(1000-taken), 1e-9)
			near(t, "what was taken when it is told", float64(taken), float64(told)*125, 1)
		}
	}
	if told != 3 {
		t.Errorf("the heir was told %d times of 480 tokens of 1000, want 3 times", told)
	}
	b.check(start.Add(limit.Second), 1, 1)
	if len(b.told) > 0 {
		t.Errorf("told %v: a home that is its own heir needs no copy", b.told)
	}
}

// Where very many nodes take part each of them is told less often.
func TestACrowdIsToldLessOften(t *testing.T) {
	states := func(nodes int) float64 {
		b := newBooks(bucket(100, limit.Second, 100), nodes, start)
		sent := 0
		for i := range 2000 {
			at := start.Add(limit.Span(i) * limit.Millisecond)
			node := int32(i % nodes)
			b.apply(at, node, uint32(i), taking(int64(i/nodes+1), 50, 100/float64(nodes)))
			b.check(at, -1, -1)
			sent += len(b.told)
		}
		return float64(sent) / float64(nodes)
	}
	few, many := states(60), states(600)
	if many > few/2 {
		t.Errorf("each of 600 nodes was told %.0f times, each of 60 %.0f times", many, few)
	}
}
