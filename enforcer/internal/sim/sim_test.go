package sim_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	start = limit.Instant(1_700_000_000_000_000_000)
	ms    = limit.Millisecond
)

func TestEventsRunInTheOrderOfTheirTimesThenOfTheirAsking(t *testing.T) {
	type event struct {
		at limit.Instant
		n  int
	}
	random := rand.New(rand.NewPCG(1, 2))
	w := sim.New(1, start)
	var asked, ran []event
	for n := range 2000 {
		e := event{start.Add(limit.Span(random.IntN(100)) * ms), n}
		asked = append(asked, e)
		w.At(e.at, func() {
			if w.Now() != e.at {
				t.Errorf("event %d of %v ran at %v", e.n, e.at.Sub(start).Duration(), w.Now().Sub(start).Duration())
			}
			ran = append(ran, e)
		})
	}
	w.Run(99 * ms)
	slices.SortStableFunc(asked, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	if !slices.Equal(ran, asked) {
		t.Errorf("ran in the order %v", ran)
	}
	if w.Now() != start.Add(99*ms) {
		t.Errorf("the time is %v, want 99ms", w.Now().Sub(start).Duration())
	}
	late := false
	w.At(start, func() { late = w.Now() == start.Add(99*ms) })
	w.Run(0)
	if !late {
		t.Error("an event of the past did not run at once")
	}
}

func TestEveryRunsUntilItSaysNo(t *testing.T) {
	w := sim.New(1, start)
	n := 0
	w.Every(start.Add(5*ms), 10*ms, func() bool {
		n++
		return n < 3
	})
	w.Run(20 * ms)
	if n != 2 {
		t.Errorf("after 20 ms it ran %d times, want twice: after 5 and 15 ms", n)
	}
	w.Run(limit.Second)
	if n != 3 {
		t.Errorf("it ran %d times, want 3", n)
	}
}

func TestALinkLosesRepeatsAndDelaysAsItSays(t *testing.T) {
	w := sim.New(1, start)
	link := sim.Link{Loss: .2, Repeat: .1, Min: 2 * ms, Max: 7 * ms}
	w.Link = func(string, string) sim.Link { return link }
	got, overtaken, newest := 0, 0, -1
	w.Attach("b", func(from string, frame []byte) {
		at := int(frame[0]) | int(frame[1])<<8
		if d := w.Now().Sub(start) - limit.Span(at)*ms; from != "a" || d < link.Min || d >= link.Max {
			t.Fatalf("a frame from %s took %v", from, d.Duration())
		}
		got++
		if at < newest {
			overtaken++
		}
		newest = max(newest, at)
	})
	const n = 20_000
	for i := range n {
		w.At(start.Add(limit.Span(i)*ms), func() { w.Outbox("a").Send("b", []byte{byte(i), byte(i >> 8)}) })
	}
	w.Run(n*ms + link.Max)
	// Each is sent 1/(1-.1) times, and each copy is lost by 20 %.
	if want := n * .8 / .9; math.Abs(float64(got)/want-1) > .02 {
		t.Errorf("%d of %d frames arrived, want about %.0f", got, n, want)
	}
	if overtaken == 0 {
		t.Error("no frame overtook another one")
	}
	if w.Frames != n || w.Bytes != 2*n {
		t.Errorf("counted %d frames and %d bytes, want what was sent: %d and %d", w.Frames, w.Bytes, n, 2*n)
	}
	want := sim.Traffic{FramesIn: uint64(got), BytesIn: 2 * uint64(got)}
	if d := gocmp.Diff(want, w.Node("b").Traffic()); d != "" {
		t.Error("traffic of b:", d)
	}
	if d := gocmp.Diff(sim.Traffic{FramesOut: n, BytesOut: 2 * n}, w.Node("a").Traffic()); d != "" {
		t.Error("traffic of a:", d)
	}
}

// world has nodes a, b and c that note what they receive.
func world() (w *sim.World, got *[]string) {
	w = sim.New(1, start)
	w.Link = func(string, string) sim.Link { return sim.Link{Min: ms, Max: ms} }
	got = &[]string{}
	for _, name := range []string{"a", "b", "c"} {
		w.Attach(name, func(from string, frame []byte) {
			*got = append(*got, fmt.Sprintf("%v %s->%s %s", w.Now().Sub(start).Duration(), from, name, frame))
		})
	}
	return w, got
}

func TestASplitKeepsGroupsApart(t *testing.T) {
	w, got := world()
	talk := func(what string) {
		for _, from := range []string{"a", "b", "c"} {
			for _, to := range []string{"a", "b", "c"} {
				if from != to {
					w.Outbox(from).Send(to, []byte(what))
				}
			}
		}
		w.Run(ms)
	}
	talk("whole")
	if len(*got) != 6 {
		t.Fatalf("before the split %v arrived", *got)
	}
	*got = nil
	w.Outbox("a").Send("b", []byte("under way"))
	w.Split([]string{"b", "c"})
	talk("split")
	if d := gocmp.Diff([]string{"2ms a->b under way", "2ms b->c split", "2ms c->b split"}, *got); d != "" {
		t.Error(d)
	}
	*got = nil
	w.Split([]string{"a"}, []string{"b"})
	talk("thirds")
	if len(*got) != 0 {
		t.Errorf("%v arrived between three groups", *got)
	}
	w.Heal()
	w.Break("a", "b")
	talk("one way")
	if len(*got) != 5 || slices.Contains(*got, "4ms a->b one way") {
		t.Errorf("%v arrived with one direction of a link broken", *got)
	}
	*got = nil
	w.Heal()
	talk("healed")
	if len(*got) != 6 {
		t.Errorf("after the split %v arrived", *got)
	}
}

func TestACrashLosesFramesAndCalls(t *testing.T) {
	w, got := world()
	ran := 0
	w.Node("b").After(10*ms, func() { ran++ })
	w.Node("b").Every(0, ms, func() bool { ran++; return true })
	w.Run(5 * ms)
	if ran != 6 {
		t.Errorf("%d calls in 5 ms, want 6", ran)
	}
	w.Outbox("a").Send("b", []byte("lost"))
	w.Attach("b", nil)
	w.Run(10 * ms)
	if ran != 6 || len(*got) != 0 {
		t.Errorf("after the crash %d calls and %v", ran-6, *got)
	}
	w.Attach("b", func(string, []byte) { t.Error("the frame arrived at the next life") })
	w.Run(10 * ms)
	if ran != 6 {
		t.Errorf("%d calls of the life before", ran-6)
	}
}

func TestAPauseDefersAllAndKeepsTheOrder(t *testing.T) {
	w, got := world()
	b := w.Node("b")
	b.Every(2*ms, 10*ms, func() bool { // 2, 12, 22, 32 and so on
		*got = append(*got, fmt.Sprint(w.Now().Sub(start).Duration(), " tick"))
		return true
	})
	w.Run(5 * ms)
	b.Pause(30 * ms)
	b.Pause(10 * ms) // the longer one counts
	if until, yes := b.Paused(); !yes || until != start.Add(35*ms) {
		t.Errorf("paused: %v until %v", yes, until.Sub(start).Duration())
	}
	for i := range 3 {
		w.At(start.Add(limit.Span(6+10*i)*ms), func() { w.Outbox("a").Send("b", fmt.Append(nil, i)) })
	}
	w.Run(45 * ms)
	want := []string{"2ms tick", "35ms a->b 0", "35ms tick", "35ms a->b 1", "35ms a->b 2", "45ms tick"}
	if d := gocmp.Diff(want, *got); d != "" {
		t.Error(d)
	}
	if _, yes := b.Paused(); yes {
		t.Error("still paused")
	}
}

func TestClocksAreWrongAsTheyWereSet(t *testing.T) {
	w := sim.New(1, start)
	n := w.Node("a")
	if n.Now() != start {
		t.Errorf("a clock that was not set is %v off", n.Now().Sub(start).Duration())
	}
	w.Run(limit.Second)
	n.SetClock(-20*ms, 1e-3)
	if got := n.Now().Sub(w.Now()); got != -20*ms {
		t.Errorf("after it was set the clock is %v off, want -20ms", got.Duration())
	}
	ticks := 0
	n.Every(limit.Second, limit.Second, func() bool { ticks++; return true })
	w.Run(1000 * limit.Second)
	if got := n.Now().Sub(w.Now()); got != 980*ms {
		t.Errorf("after 1000 s the clock is %v off, want 980ms", got.Duration())
	}
	if ticks != 1001 {
		t.Errorf("%d ticks in 1000 s of a clock that is fast by a thousandth, want 1001", ticks)
	}
	last := n.Now()
	for range 1000 {
		w.Run(1)
		if n.Now() < last {
			t.Fatal("the clock ran backwards")
		}
		last = n.Now()
	}
}

func TestAFrameIsLentForTheCallOnly(t *testing.T) {
	w := sim.New(1, start)
	var kept []byte
	w.Attach("b", func(_ string, frame []byte) { kept = frame })
	sent := []byte("hello")
	w.Outbox("a").Send("b", sent)
	sent[0] = 'j' // the network has a copy
	w.Attach("b", func(_ string, frame []byte) {
		if kept = frame; string(frame) != "hello" {
			t.Errorf("got %q", frame)
		}
	})
	w.Run(0)
	if string(kept) == "hello" {
		t.Error("the frame outlived the call; a receiver that keeps it would not be found out")
	}
}

// chatter has n nodes that send to each other for a while, and returns the trace.
func chatter(seed uint64, n int, change func(*sim.World)) uint64 {
	w := sim.New(seed, start)
	w.Link = func(string, string) sim.Link { return sim.Link{Loss: .1, Repeat: .1, Max: 5 * ms} }
	for i := range n {
		out := w.Outbox(fmt.Sprint(i))
		w.Attach(fmt.Sprint(i), func(string, []byte) { w.Note(1) })
		w.Every(start, 3*ms, func() bool {
			out.Send(fmt.Sprint((i+1)%n), []byte("a frame of more than eight bytes"))
			return true
		})
	}
	if change != nil {
		w.At(start.Add(50*ms), func() { change(w) })
	}
	w.Run(100 * ms)
	return w.Trace()
}

func TestTheTraceTellsRunsApart(t *testing.T) {
	send := func(w *sim.World, frame string) {
		for range 3 { // one of them arrives
			w.Outbox("1").Send("2", []byte(frame))
		}
	}
	want := chatter(1, 5, nil)
	if got := chatter(1, 5, nil); got != want {
		t.Errorf("two runs of one seed have the traces %x and %x", want, got)
	}
	seen := map[uint64]string{want: "the run itself"}
	for name, got := range map[string]uint64{
		"another seed":   chatter(2, 5, nil),
		"a node more":    chatter(1, 6, nil),
		"a pause":        chatter(1, 5, func(w *sim.World) { w.Node("3").Pause(ms) }),
		"a crash":        chatter(1, 5, func(w *sim.World) { w.Attach("3", nil) }),
		"a frame more":   chatter(1, 5, func(w *sim.World) { send(w, "a frame of more than eight bytes") }),
		"another byte":   chatter(1, 5, func(w *sim.World) { send(w, "a frame of more than eight byteS") }),
		"another letter": chatter(1, 5, func(w *sim.World) { send(w, "A frame of more than eight bytes") }),
		"a note":         chatter(1, 5, func(w *sim.World) { w.Note(0) }),
		"a split":        chatter(1, 5, func(w *sim.World) { w.Split([]string{"1"}) }),
	} {
		if other, there := seen[got]; there {
			t.Errorf("%s has the trace of %s", name, other)
		}
		seen[got] = name
	}
}

func TestNothingIsAllocatedOnceTheTablesHaveGrown(t *testing.T) {
	w := sim.New(1, start)
	w.Link = func(string, string) sim.Link { return sim.Link{Max: 5 * ms} }
	w.Attach("b", func(string, []byte) {})
	out, frame := w.Outbox("a"), make([]byte, 500)
	w.Node("a").Every(0, ms, func() bool {
		for range 10 {
			out.Send("b", frame)
		}
		return true
	})
	w.Run(limit.Second)
	if n := testing.AllocsPerRun(100, func() { w.Run(10 * ms) }); n > 0 {
		t.Errorf("%v allocations in 10 ms, want none", n)
	}
}

// What one frame costs, and one call, in a World of a thousand nodes.
func BenchmarkFrame(b *testing.B) {
	w := sim.New(1, start)
	w.Link = func(string, string) sim.Link { return sim.Link{Min: ms, Max: 5 * ms} }
	const nodes = 1000
	names := make([]string, nodes)
	for i := range names {
		names[i] = fmt.Sprint("10.0.0.", i)
		w.Attach(names[i], func(string, []byte) {})
	}
	frame := make([]byte, 64)
	for i := range names {
		out := w.Outbox(names[i])
		w.Node(names[i]).Every(limit.Span(w.Rand().Int64N(int64(ms))), ms, func() bool {
			out.Send(names[w.Rand().IntN(nodes)], frame)
			return true
		})
	}
	for b.Loop() {
		w.Run(ms / nodes)
	}
}
