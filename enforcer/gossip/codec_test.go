package gossip_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// recorder is an Outbox that keeps what is sent.
type recorder struct{ frames [][]byte }

func (r *recorder) Send(_ string, frame []byte) { r.frames = append(r.frames, bytes.Clone(frame)) }

func newNode(t testing.TB, name limit.NodeID, c gossip.Counters) *gossip.Node {
	t.Helper()
	n, err := gossip.New(gossip.Options{
		Name: name, Counters: c, MaxKeys: 100,
		Seed: gossip.Seed{Value: [16]byte([]byte("seed of 16 bytes")), Born: 0x0102030405060708},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The bytes on the wire are a contract between versions that run side by side
// during a rollout: a change of them is a new version.
func TestTheBytesOnTheWire(t *testing.T) {
	counters := newTally(300)
	n := newNode(t, "node-a", counters)
	counters.take(5, 150)
	counters.entries[counter(5).Key].Used = 1000
	n.SetPeers(start, []string{"b"})
	var sent recorder
	n.Tick(start, &sent)
	n.Start(start)
	n.Tick(start.Add(gossip.Interval), &sent)

	header := func(kind, round string) string {
		return "01" + kind + "00" + "06" + hex.EncodeToString([]byte("node-a")) +
			hex.EncodeToString([]byte("16 bytes")) + // life: the end of the first seed
			hex.EncodeToString([]byte("seed of 16 bytes")) + "0102030405060708" + round
	}
	entry := "5000000000000000" + "0000000000000005" + // key
		"0000000000000002" + // limit
		"01" + // variant
		"ac02" + // era 300
		"ac02" + // own 150, zigzag
		"e807" // used 1000
	want := []string{
		header("01", "00000001") + entry,
		header("02", "00000002") + "0000000000000000",
		header("01", "00000002") + entry,
	}
	var got []string
	for _, f := range sent.frames {
		got = append(got, hex.EncodeToString(f))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestFramesAreFilledButNotOverfilled(t *testing.T) {
	counters := newTally(math.MaxUint64)
	for key := range uint64(1000) {
		e := counters.entry(counter(key + 1))
		e.Used, e.Variant = math.MaxInt64, math.MaxUint16
		counters.take(key+1, 0)
		e.Own = math.MinInt64
	}
	n := newNode(t, limit.NodeID(strings.Repeat("n", 253)), counters)
	n.SetPeers(start, []string{"b"})
	var sent recorder
	for range 4 {
		n.Tick(start, &sent)
	}
	for _, f := range sent.frames {
		if len(f) > gossip.MaxFrame {
			t.Fatalf("a frame has %d bytes, want at most %d", len(f), gossip.MaxFrame)
		}
		again, err := gossip.Reencode(f)
		if err != nil || !bytes.Equal(f, again) {
			t.Fatalf("Reencode() = %x, %v, want the same as %x", again, err, f)
		}
	}
	if fill := len(sent.frames[0]); fill < gossip.MaxFrame-60 {
		t.Errorf("the first of many frames has %d bytes, want close to %d", fill, gossip.MaxFrame)
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	counters := newTally(1)
	counters.take(1, 1)
	n := newNode(t, "a", counters)
	n.SetPeers(start, []string{"b"})
	n.Start(start)
	var sent recorder
	n.Tick(start, &sent)
	ask, counts := sent.frames[0], sent.frames[1]

	edit := func(frame []byte, f func(b []byte) []byte) []byte { return f(bytes.Clone(frame)) }
	set := func(frame []byte, at int, value byte) []byte {
		return edit(frame, func(b []byte) []byte { b[at] = value; return b })
	}
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"empty", nil},
		{"only a part of the header", counts[:20]},
		{"another version", set(counts, 0, 2)},
		{"an unknown kind", set(counts, 1, 9)},
		{"an unknown flag", set(counts, 2, 0x80)},
		{"no name", set(counts, 3, 0)},
		{"a name beyond the end", set(counts, 3, 200)},
		{"an entry cut off", counts[:len(counts)-1]},
		{"a zero key", edit(counts, func(b []byte) []byte { clear(b[41:57]); return b })},
		{"a negative use", edit(counts, func(b []byte) []byte {
			return append(b[:len(b)-1], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
		})},
		{"a question with more behind it", append(bytes.Clone(ask), 0)},
		{"a page without cursors", set(ask, 1, 3)},
		{"a frame that is too long", append(bytes.Clone(counts), make([]byte, gossip.MaxFrame)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if b, err := gossip.Reencode(c.frame); err == nil {
				t.Errorf("accepted as %x", b)
			}
		})
	}
}

// FuzzReceive hands arbitrary frames to a node: it must neither panic, nor send
// frames that are too long, nor remember more than it may.
func FuzzReceive(f *testing.F) {
	counters := newTally(1)
	counters.take(1, 1)
	counters.take(2, 1<<40)
	a := newNode(f, "a", counters)
	a.SetPeers(start, []string{"b"})
	a.Start(start)
	var sent recorder
	a.Tick(start, &sent)
	b := newNode(f, "b", newTally(2))
	b.SetPeers(start, []string{"a"})
	for _, frame := range sent.frames {
		f.Add(frame)
		if err := b.Receive(start, "a", frame, &sent); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(sent.frames[len(sent.frames)-1])
	f.Fuzz(func(t *testing.T, frame []byte) {
		tally := newTally(3)
		tally.take(9, 9)
		n := newNode(t, "c", tally)
		n.SetPeers(start, []string{"a"})
		n.Start(start)
		var out recorder
		for range 3 {
			_ = n.Receive(start, "a", frame, &out)
			n.Tick(start, &out)
		}
		for _, sent := range out.frames {
			if _, err := gossip.Reencode(sent); err != nil {
				t.Fatalf("sent a frame that it would refuse: %v", err)
			}
		}
		if known := n.Stats().Known; known > 100 {
			t.Fatalf("remembers %d counts, want at most 100", known)
		}
		if again, err := gossip.Reencode(frame); err == nil {
			if twice, err := gossip.Reencode(again); err != nil || !bytes.Equal(twice, again) {
				t.Fatalf("encodes as %x, then as %x (%v)", again, twice, err)
			}
		}
	})
}
