package gossip_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// wire is a network between nodes that loses nothing and takes no time.
type wire struct {
	nodes  []*gossip.Node
	bytes  int
	frames int
	queue  []sending
}

type sending struct {
	from, to int
	frame    []byte
}

// plug is one node's end of it.
type plug struct {
	*wire
	i int
}

func (p plug) Send(to string, frame []byte) {
	p.bytes += len(frame)
	p.frames++
	n := len(p.queue)
	if n < cap(p.queue) {
		p.queue = p.queue[:n+1]
	} else {
		p.queue = append(p.queue, sending{})
	}
	s := &p.queue[n]
	s.from, s.to, s.frame = p.i, int(to[0]-'0'), append(s.frame[:0], frame...)
}

// deliver hands over what was sent, and what is sent because of it.
func (w *wire) deliver(b *testing.B, now limit.Instant) {
	for i := 0; i < len(w.queue); i++ {
		s := w.queue[i]
		if err := w.nodes[s.to].Receive(now, fmt.Sprint(s.from), s.frame, plug{w, s.to}); err != nil {
			b.Fatal(err)
		}
	}
	w.queue = w.queue[:0]
}

// What sharing adds to a decision: 10,000 clients, each asking twice a second of the
// 20 that it may, or all of them, or every tenth, of one in four seconds; the same at
// the pace of hack/bench; and ten nodes, at three of which each client asks for a third
// of what it may.
func BenchmarkSharing(b *testing.B) {
	far, over := must(decide.TokenBucket(20, limit.Second, 20)), must(decide.TokenBucket(1, 4*limit.Second, 1))
	third := must(decide.TokenBucket(15, 10*limit.Second, 15))
	for _, c := range []sharing{
		{"alone", 1, 1, 20, far, over, 0},
		{"far", 3, 3, 20, far, over, 0},
		{"as make cost", 3, 3, 36, far, over, 10},
		{"tenth over", 3, 3, 20, far, over, 10},
		{"all over", 3, 3, 20, far, over, 1},
		{"third on ten", 10, 3, 5, third, over, 0},
	} {
		b.Run(c.name, c.run)
	}
}

// sharing is one case of BenchmarkSharing.
type sharing struct {
	name      string
	nodes, of int // a client asks one of so many
	perMilli  int // decisions
	most      decide.Params
	over      decide.Params // of each overEvery-th client
	overEvery int
}

func (c sharing) run(b *testing.B) {
	const clients = 10_000
	w, all := c.pool(b, clients)
	random := rand.New(rand.NewPCG(1, 2))
	now := start
	step := func() {
		now = now.Add(limit.Millisecond)
		for range c.perMilli {
			i, id := random.IntN(clients), uint64(1)
			if c.overEvery > 0 && i%c.overEvery == 0 {
				id = 2
			}
			node := all[(i+random.IntN(c.of))%c.nodes]
			node.Charge(now, []account.Charge{{Key: key(uint64(i)), Meter: node.refs[id], Cost: 1}})
		}
		for i, n := range w.nodes {
			n.Tick(now, plug{w, i})
		}
		w.deliver(b, now)
	}
	for range 10_000 {
		step()
	}
	w.bytes, w.frames = 0, 0
	entries, used := w.entries(), cpu(b)
	b.ResetTimer()
	for range b.N {
		step()
	}
	decisions := float64(b.N * c.perMilli)
	b.ReportMetric(float64((cpu(b)-used).Nanoseconds())/decisions, "cpu-ns/decision")
	b.ReportMetric(float64(w.entries()-entries)/decisions, "entries/decision")
	b.ReportMetric(float64(w.frames)/decisions, "frames/decision")
	b.ReportMetric(float64(w.bytes)/decisions, "bytes/decision")
	b.ReportMetric(0, "ns/op")
}

// pool makes the nodes, which know each other.
func (c sharing) pool(b *testing.B, clients int) (w *wire, all []*counters) {
	w = &wire{}
	for i := range c.nodes {
		k := newCounters(b, map[uint64]decide.Params{1: c.most, 2: c.over})
		n, err := gossip.New(gossip.Options{Name: nameOf(i), Counters: k, MaxHomes: clients, Seed: gossip.Seed{Value: [16]byte{1, 15: byte(i)}}})
		if err != nil {
			b.Fatal(err)
		}
		w.nodes, all = append(w.nodes, n), append(all, k)
	}
	for i, n := range w.nodes {
		v := gossip.View{Expected: c.nodes}
		for j := range c.nodes {
			if j != i {
				v.Members = append(v.Members, gossip.Member{Name: nameOf(j), Address: fmt.Sprint(j), State: gossip.Alive})
			}
		}
		n.SetView(start, v)
		n.Start(start)
	}
	return w, all
}

// cpu is the processor time of the process, which other work on the machine does
// not count for.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func (w *wire) entries() (sum uint64) {
	for _, n := range w.nodes {
		s := n.Stats()
		sum += s.Reports + s.States
	}
	return sum
}
