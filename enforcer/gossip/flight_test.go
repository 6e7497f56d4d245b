package gossip_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// A receipt knows of the newest frame and of the 32 before it exactly which have
// arrived, in whatever order they came.
func TestReceipts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := rapid.SampledFrom([]uint32{1, 1000, 1<<31 - 20, 1<<32 - 20}).Draw(t, "first")
		var r gossip.Receipt
		r.Note(begin / 2) // numbers grow step by step
		r.Note(begin)
		came := map[uint32]bool{begin: true}
		newest := begin
		for range rapid.IntRange(0, 80).Draw(t, "frames") {
			seq := newest + uint32(rapid.IntRange(-32, 40).Draw(t, "step"))
			if int32(seq-begin) < 0 {
				continue
			}
			r.Note(seq)
			came[seq] = true
			if int32(seq-newest) > 0 {
				newest = seq
			}
		}
		for back := range uint32(33) {
			seq := newest - back
			if int32(seq-begin) > 0 && r.Has(seq) != came[seq] {
				t.Fatalf("of %d, %d before the newest: Has() = %v, want %v", seq, back, r.Has(seq), came[seq])
			}
		}
		for _, seq := range []uint32{newest + 1, newest - 33, newest - 1000} {
			if r.Has(seq) {
				t.Fatalf("has %d, with %d the newest", seq, newest)
			}
		}
	})
}

// What a node says is acknowledged with the next frame that has something to say,
// or soon with one of its own; acknowledgements are not acknowledged.
func TestAcknowledgements(t *testing.T) {
	n := newJoined(t)
	id := share.ID{Key: keyFor("a"), Limit: daily}
	say := func(at limit.Span, taken int64) {
		t.Helper()
		frame := gossip.NewCounts(n.header(7), report(id, share.Report{Taken: taken, Level: float64(1000 - taken), Era: 1, Fresh: true}))
		if err := n.receive(start.Add(at), "b", frame); err != nil {
			t.Fatal(err)
		}
	}
	acks := func() (all []gossip.Header) {
		t.Helper()
		for _, l := range n.out.take() {
			h, _, err := gossip.Decode(l.frame)
			if err != nil {
				t.Fatal(err)
			}
			if l.to == "b" && h.Acks {
				all = append(all, h)
			}
		}
		return all
	}
	ms := limit.Millisecond
	say(0, 10)
	say(ms, 20)
	for at := ms; at <= 25*ms; at += ms {
		n.Tick(start.Add(at), &n.out)
	}
	if got := acks(); len(got) > 0 {
		t.Errorf("%d acknowledgements within 25 ms, with nothing to say", len(got))
	}
	for at := 26 * ms; at <= 40*ms; at += ms {
		n.Tick(start.Add(at), &n.out)
	}
	if got := acks(); len(got) != 1 || got[0].Ack != n.seq || got[0].Mask&1 == 0 {
		t.Errorf("acknowledged %+v, want once up to %d and the one before", got, n.seq)
	}
	n.Tick(start.Add(limit.Second), &n.out)
	if got := acks(); len(got) > 0 {
		t.Errorf("acknowledged again: %+v", got)
	}
	say(limit.Second, 600) // near the limit: it is told
	if got := acks(); len(got) == 0 || got[0].Ack != n.seq {
		t.Errorf("what it is told acknowledges %+v, want up to %d", got, n.seq)
	}
	h := n.header(7)
	h.Acks, h.Ack = true, 1
	if err := n.receive(start.Add(2*limit.Second), "b", gossip.NewCounts(h)); err != nil {
		t.Fatal(err)
	}
	acks()
	n.Tick(start.Add(3*limit.Second), &n.out)
	if got := acks(); len(got) > 0 {
		t.Errorf("an acknowledgement is acknowledged: %+v", got)
	}
}

// A report that is lost is sent again, as it is by then: when later frames arrive
// without it, or when nothing is heard of it.
func TestWhatIsLostIsSentAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		later  int        // reports of another counter that follow, 10 ms apart, and arrive
		within limit.Span // the first is sent again
	}{
		{"nothing is heard of it", 0, gossip.LostAfter + share.CalmWait + 2*gossip.Interval},
		{"later ones arrive without it", gossip.OvertakenBy, gossip.OvertakenBy*10*limit.Millisecond + 2*gossip.Interval},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newJoined(t)
			k, next := keysFor("b", 0), keysFor("b", 1)
			n.counters.take(start, k, daily, 100)
			n.Tick(start, &n.out)
			lost := n.out.reports(t, k)
			if len(lost) != 1 {
				t.Fatalf("%d reports of 100 tokens", len(lost))
			}
			n.counters.take(start, k, daily, 1)
			for at := limit.Millisecond; at <= c.within; at += limit.Millisecond {
				now := start.Add(at)
				if at%(10*limit.Millisecond) == 0 && c.later > 0 {
					c.later--
					n.counters.take(now, next, daily, 100)
				}
				n.Tick(now, &n.out)
				for _, l := range n.out.take() {
					switch again := reportsOf(t, l, k); {
					case len(again) > 0 && again[0].Taken == 101 && n.Stats().Lost > 0:
						return
					case len(reportsOf(t, l, next)) > 0:
						n.acknowledge(now, "b", l.frame, lost[0].seq)
					}
				}
			}
			t.Errorf("it was not sent again within %v", c.within.Duration())
		})
	}
}

// A home that speaks when it should know of a report, and does not, is told it again at
// once: nothing later has to be said first.
func TestWhatAPeerDoesNotKnowOfIsSentAgain(t *testing.T) {
	const ms = limit.Millisecond
	for _, c := range []struct {
		name   string
		trip   limit.Span // in which the peer acknowledged what was said before
		speaks limit.Span // after the report that is lost
		again  bool
	}{
		{"while the report may be on its way", 5 * ms, gossip.LateAfter - ms, false},
		{"later", 5 * ms, gossip.LateAfter, true},
		{"on a slow link", 2 * gossip.LateAfter, 3 * gossip.LateAfter, false},
		{"on a slow link, later", 2 * gossip.LateAfter, 4 * gossip.LateAfter, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newJoined(t)
			k := keysFor("b", 0)
			n.counters.take(start, k, daily, 100)
			n.Tick(start, &n.out)
			first := n.out.reports(t, k)[0].seq
			ack := func(now limit.Instant) {
				h := n.header(7)
				h.Acks, h.Ack = true, first
				if err := n.receive(now, "b", gossip.NewCounts(h)); err != nil {
					t.Fatal(err)
				}
			}
			ack(start.Add(c.trip))
			said := start.Add(c.trip)
			n.counters.take(said, k, daily, 100)
			n.Tick(said, &n.out)
			if got := n.out.reports(t, k); len(got) != 1 || got[0].Taken != 200 {
				t.Fatalf("reported %+v, want 200 tokens", got)
			}
			ack(said.Add(c.speaks))
			if lost := n.Stats().Lost > 0; lost != c.again {
				t.Fatalf("%v after the report the peer did not know of it: lost is %v, want %v", c.speaks.Duration(), lost, c.again)
			}
			if !c.again {
				return
			}
			n.counters.take(said.Add(c.speaks), k, daily, 1)
			n.Tick(said.Add(c.speaks), &n.out)
			if got := n.out.reports(t, k); len(got) != 1 || got[0].Taken != 201 {
				t.Errorf("said again: %+v, want 201 tokens", got)
			}
		})
	}
}

// numbered is a report and the number of its frame.
type numbered struct {
	*share.Report
	seq uint32
}

// reportsOf returns what a frame reports of one counter.
func reportsOf(t testing.TB, l letter, k limit.Key) (all []numbered) {
	t.Helper()
	h, entries, err := gossip.Decode(l.frame)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Key == k && e.Report != nil {
			all = append(all, numbered{e.Report, h.Seq})
		}
	}
	return all
}

// reports returns what was reported of one counter since the last time.
func (s *sent) reports(t testing.TB, k limit.Key) (all []numbered) {
	t.Helper()
	for _, l := range s.take() {
		all = append(all, reportsOf(t, l, k)...)
	}
	return all
}

// acknowledge has a peer say that it received a frame, and all before it but one.
func (n *lone) acknowledge(now limit.Instant, from string, frame []byte, but uint32) {
	n.t.Helper()
	h, _, err := gossip.Decode(frame)
	if err != nil {
		n.t.Fatal(err)
	}
	ack := n.header(7)
	ack.Acks, ack.Ack, ack.Mask = true, h.Seq, ^uint32(1<<(h.Seq-but-1))
	if err := n.receive(now, from, gossip.NewCounts(ack)); err != nil {
		n.t.Fatal(err)
	}
}

// On a network that works nothing is sent twice.
func TestNothingIsTakenForLostThatArrives(t *testing.T) {
	p := newPool(t, 1, 3)
	p.Link = func(string, string) sim.Link { return sim.Link{Min: limit.Millisecond, Max: 3 * limit.Millisecond} }
	load := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		p.take(load.IntN(3), key(load.Uint64N(40)), hot, load.IntN(20))
		p.Run(limit.Millisecond)
	}
	for i, n := range p.nodes {
		if s := n.Stats(); s.Lost > 0 {
			t.Errorf("node %d gave %d of %d entries up for lost", i, s.Lost, s.Reports+s.States)
		}
	}
}
