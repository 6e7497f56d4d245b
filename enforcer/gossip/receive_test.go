package gossip_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// sent is an Outbox that keeps what is sent.
type sent struct{ frames []letter }

type letter struct {
	to    string
	frame []byte
}

func (s *sent) Send(to string, frame []byte) {
	s.frames = append(s.frames, letter{to, bytes.Clone(frame)})
}

// take returns what was sent since the last time.
func (s *sent) take() []letter {
	frames := s.frames
	s.frames = nil
	return frames
}

// entries returns what was sent since the last time, by whom it was sent to.
func (s *sent) entries(t testing.TB) map[string][]gossip.Entry {
	t.Helper()
	all := map[string][]gossip.Entry{}
	for _, l := range s.take() {
		_, entries, err := gossip.Decode(l.frame)
		if err != nil {
			t.Fatal(err)
		}
		all[l.to] = append(all[l.to], entries...)
	}
	return all
}

// lone is one node with two peers, "b" and "c", of which only its own end is real.
type lone struct {
	*gossip.Node
	t        testing.TB
	counters *counters
	out      sent
	seq      uint32
}

var poolSeed = gossip.Seed{Value: [16]byte([]byte("seed of the pool")), Born: 1}

func newLone(t testing.TB) *lone {
	t.Helper()
	n := newJoiner(t, start.Add(-4*limit.Second)) // so long ago that it has joined without an answer
	n.Tick(start, &n.out)
	for i, peer := range []string{"b", "c"} { // which have joined, too
		if err := n.receive(start, peer, gossip.NewHello(n.header(uint64(7+2*i)), poolSeed, peer)); err != nil {
			t.Fatal(err)
		}
	}
	n.out.take()
	return n
}

// newJoiner is one that has just started, as have its peers.
func newJoiner(t testing.TB, now limit.Instant) *lone {
	t.Helper()
	n := &lone{t: t, counters: newCounters(t, limits())}
	var err error
	n.Node, err = gossip.New(gossip.Options{Name: "a", Counters: n.counters, MaxHomes: 1000, Seed: poolSeed})
	if err != nil {
		t.Fatal(err)
	}
	n.SetView(now, gossip.View{Expected: 3, Members: []gossip.Member{
		{Name: "b", Address: "b", State: gossip.Alive},
		{Name: "c", Address: "c", State: gossip.Alive},
	}})
	n.Start(now)
	n.Tick(now, &n.out)
	return n
}

// header is that of the next frame from a peer with the given life.
func (n *lone) header(life uint64) gossip.Header {
	n.seq++
	return gossip.Header{Settled: true, Life: life, Seq: n.seq, Tag: poolSeed.Tag()}
}

// receive hands the node a frame and returns what it says to that.
func (n *lone) receive(now limit.Instant, from string, frame []byte) error {
	return n.Receive(now, from, frame, &n.out)
}

// keyFor returns a key whose home is the node itself, or one of its peers; keysFor
// the n-th of those.
func keyFor(home string) limit.Key { return keysFor(home, 0) }

func keysFor(home string, n int) limit.Key {
	for i := uint64(0); ; i++ {
		if owner(key(i), "a", "b", "c") == home {
			if n--; n < 0 {
				return key(i)
			}
		}
	}
}

// left is what the node would grant of a counter.
func (n *lone) left(now limit.Instant, k limit.Key, id uint64) int {
	return n.counters.left(now, k, id)
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	c := newCounters(t, limits())
	for _, c := range []struct {
		name    string
		options gossip.Options
		want    string
	}{
		{"no name", gossip.Options{Counters: c, MaxHomes: 1}, `node name "": use 1 to 253 bytes`},
		{"a name that is too long", gossip.Options{Name: limit.NodeID(strings.Repeat("n", 254)), Counters: c, MaxHomes: 1}, "use 1 to 253 bytes"},
		{"no counters", gossip.Options{Name: "a", MaxHomes: 1}, "gossip needs Counters"},
		{"no room", gossip.Options{Name: "a", Counters: c}, "MaxHomes of at least 1"},
	} {
		if n, err := gossip.New(c.options); n != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: New() = %v, %v, want an error with %q", c.name, n, err, c.want)
		}
	}
}

func TestFramesThatAreNotUsed(t *testing.T) {
	k := keyFor("a")
	taken := report(share.ID{Key: k, Limit: daily}, share.Report{Taken: 600, Level: 400, Era: 1, Fresh: true})
	for _, c := range []struct {
		name  string
		from  string
		frame func(n *lone) []byte
		want  error
		count func(s gossip.Stats) uint64
	}{
		{
			"a frame from an address that is no peer's", "d",
			func(n *lone) []byte { return gossip.NewCounts(n.header(7), taken) },
			gossip.ErrStranger, func(s gossip.Stats) uint64 { return s.Strange },
		},
		{
			"a frame that is cut off", "b",
			func(n *lone) []byte { f := gossip.NewCounts(n.header(7), taken); return f[:len(f)-1] },
			gossip.ErrMalformed, func(s gossip.Stats) uint64 { return s.Malformed },
		},
		{
			"a hello of a peer that has this node's name", "b",
			func(n *lone) []byte { return gossip.NewHello(n.header(7), poolSeed, "a") },
			gossip.ErrNameTaken, func(s gossip.Stats) uint64 { return s.Clashing },
		},
		{
			"counts of a pool with another hash seed", "b",
			func(n *lone) []byte { h := n.header(7); h.Tag++; return gossip.NewCounts(h, taken) },
			nil, func(s gossip.Stats) uint64 { return s.Foreign },
		},
		{
			"a report for a home that is elsewhere", "b",
			func(n *lone) []byte {
				return gossip.NewCounts(n.header(7), report(share.ID{Key: keyFor("b"), Limit: daily}, *taken.Report))
			},
			nil, func(s gossip.Stats) uint64 { return s.Misplaced },
		},
		{
			"a state of a home that is elsewhere", "b",
			func(n *lone) []byte {
				return gossip.NewCounts(n.header(7), state(share.ID{Key: keyFor("c"), Limit: daily}, share.State{Level: 400}))
			},
			nil, func(s gossip.Stats) uint64 { return s.Stale },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newLone(t)
			if err := n.receive(start, c.from, c.frame(n)); !errors.Is(err, c.want) {
				t.Errorf("Receive() = %v, want %v", err, c.want)
			}
			if got := c.count(n.Stats()); got != 1 {
				t.Errorf("it is counted %d times, want once: %+v", got, n.Stats())
			}
			n.Tick(start.Add(limit.Second), &n.out)
			for _, home := range []string{"a", "b", "c"} {
				if got := n.left(start, keyFor(home), daily); got != 1000 {
					t.Errorf("%d left of a counter with its home at %s, want all 1000", got, home)
				}
			}
			if got := n.Stats().Homes; got != 0 {
				t.Errorf("the node is the home of %d counters, want none", got)
			}
		})
	}
}

func TestCountsOfAnUnknownLimitAreDropped(t *testing.T) {
	n := newLone(t)
	id := share.ID{Key: keyFor("a"), Limit: 77}
	theirs := share.ID{Key: keyFor("b"), Limit: 77}
	frame := gossip.NewCounts(n.header(7), report(id, share.Report{Taken: 1, Fresh: true}), state(theirs, share.State{Level: 1}))
	if err := n.receive(start, "b", frame); err != nil {
		t.Fatal(err)
	}
	if s := n.Stats(); s.Homes != 0 || s.Shared != 0 || s.Entries != 2 {
		t.Errorf("%+v, want two entries without effect", s)
	}
}

func TestAHomeAnswersInTheSameBreath(t *testing.T) {
	n := newLone(t)
	n.out.take()
	id := share.ID{Key: keyFor("a"), Limit: daily}
	frame := gossip.NewCounts(n.header(7), report(id, share.Report{Taken: 600, Demand: 10, Rate: 10, Level: 400, Era: 3, Fresh: true}))
	if err := n.receive(start, "b", frame); err != nil {
		t.Fatal(err)
	}
	told := n.out.entries(t)
	for _, to := range []string{"b", "c"} { // the node that reported, and the one that never saw the counter
		if len(told[to]) == 0 {
			t.Errorf("%s was told nothing", to)
		}
		for _, e := range told[to] {
			if e.ID != id || e.State == nil || e.State.Level != 400 || !e.State.Exact {
				t.Errorf("%s was told of %+v: %+v, want that 400 are left", to, e.ID, e.State)
			}
		}
	}
	if got := n.left(start, id.Key, daily); got != 400 {
		t.Errorf("%d left at the home itself, want 400", got)
	}
}

// FuzzReceive hands arbitrary frames to a node that shares counters. It must not
// panic, nor send what it would refuse, nor remember more than it was told of.
func FuzzReceive(f *testing.F) {
	for _, c := range samples() {
		f.Add(c.frame, c.frame)
	}
	mine := share.ID{Key: keyFor("a"), Limit: daily}
	theirs := share.ID{Key: keyFor("b"), Limit: hot}
	h := gossip.Header{Settled: true, Life: 7, Seq: 1, Tag: poolSeed.Tag()}
	reports := gossip.NewCounts(h, report(mine, share.Report{Taken: 600, Rate: 10, Demand: 10, Level: 400, Era: 1, Fresh: true}),
		report(mine, share.Report{Level: 200, Register: true, OthersRate: 5, OthersDemand: 5, HandOver: true}))
	states := gossip.NewCounts(h, state(theirs, share.State{Level: 3, Rate: 10, Demand: 10, Others: 2, Exact: true}))
	f.Add(reports, states)
	f.Add(states, gossip.NewPull(h, 1))
	f.Add(gossip.NewPage(h, 1, 0, 2, state(mine, share.State{Level: 5})), gossip.NewHello(h, gossip.Seed{Value: [16]byte{1}}, "b"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		n := newLone(t)
		n.counters.take(start, mine.Key, daily, 200)
		n.counters.take(start, theirs.Key, hot, 200)
		now := start
		for range 3 {
			for _, frame := range [][]byte{first, second} {
				_ = n.receive(now, "b", frame)
				now = now.Add(gossip.Interval)
				n.Tick(now, &n.out)
			}
		}
		for _, l := range n.out.take() {
			if _, err := gossip.Reencode(l.frame); err != nil || len(l.frame) > gossip.MaxFrame {
				t.Fatalf("sent a frame that it would refuse: %x, %v", l.frame, err)
			}
		}
		if s, most := n.Stats(), (len(first)+len(second))/16+2; s.Homes > most || s.Shared > most {
			t.Fatalf("%d homes and %d shared counters of %d bytes", s.Homes, s.Shared, len(first)+len(second))
		}
		for _, id := range []share.ID{mine, theirs} {
			if got := n.left(now, id.Key, id.Limit); got < 0 || got > 1000 {
				t.Fatalf("%d left of 1000", got)
			}
		}
	})
}
