package gossip_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

var (
	header = gossip.Header{Settled: true, Life: 0x0102030405060708, Seq: 0x11121314, Tag: 0x21222324}
	id     = share.ID{Key: limit.Key{Hi: 0x3132333435363738, Lo: 0x4142434445464748}, Limit: 0x5152535455565758, Variant: 300}
	other  = share.ID{Key: limit.Key{Hi: 1, Lo: 2}, Limit: id.Limit, Variant: id.Variant}
	third  = share.ID{Key: limit.Key{Hi: 3, Lo: 4}, Limit: 9}
)

func report(id share.ID, r share.Report) gossip.Entry { return gossip.Entry{ID: id, Report: &r} }
func state(id share.ID, s share.State) gossip.Entry   { return gossip.Entry{ID: id, State: &s} }

// samples are frames of each kind, and the bytes of each on the wire: a contract
// between versions that run side by side during a rollout. A change of them is a
// new version.
func samples() map[string]struct {
	frame []byte
	want  string
} {
	const key = "3132333435363738" + "4142434445464748"
	const lim = "5152535455565758" + "ac02" // limit, and variant 300
	head := func(kind string) string { return "02" + kind + "01" + "0102030405060708" + "11121314" + "21222324" }
	return map[string]struct {
		frame []byte
		want  string
	}{
		"a hello": {
			gossip.NewHello(header, gossip.Seed{Value: [16]byte([]byte("seed of 16 bytes")), Born: 0x61}, "node-a"),
			head("01") + hex.EncodeToString([]byte("seed of 16 bytes")) + "0000000000000061" + hex.EncodeToString([]byte("node-a")),
		},
		"an acknowledgement": {
			gossip.NewCounts(gossip.Header{Life: 1, Seq: 2, Tag: 3, Acks: true, Ack: 4, Mask: 5}),
			"020202" + "0000000000000001" + "00000002" + "00000003" + "00000004" + "00000005",
		},
		"a question to one that is not heard": {
			gossip.NewPull(gossip.Header{Life: 1, Deaf: true}, 7),
			"020308" + "0000000000000001" + "00000000" + "00000000" + "00000007",
		},
		"an acknowledgement by way of a third node": {
			gossip.NewCounts(gossip.Header{Life: 1, Acks: true, Ack: 4, Mask: 5, Route: gossip.RouteOf("node-a", "node-b")}),
			"020206" + "0000000000000001" + "00000000" + "00000000" + "00000004" + "00000005" + "82995e46723a0e5f" + "7bb04e6943b8d85c",
		},
		"a question": {gossip.NewPull(header, 7), head("03") + "00000007"},
		"a report that says as little as possible": {
			gossip.NewCounts(header, report(id, share.Report{Taken: 1, Level: 2})),
			head("02") + "02" + lim + key + "02" + "8002" + "00",
		},
		"a report that says everything": {
			gossip.NewCounts(header, report(id, share.Report{
				Taken: -150, Level: 99.5, Rate: 1000, Demand: 0.5, Age: 300 * limit.Millisecond, Era: 300,
				Fresh: true, Register: true, OthersRate: 2, OthersDemand: 4, Untold: 5, HandOver: true,
			})),
			head("02") + "fe" + lim + key + "ab02" + "c063" + "ac02" + "447a00" + "3f0000" + "ac8200" + "400000" + "408000" + "05",
		},
		"a state that says as little as possible": {
			gossip.NewCounts(header, state(id, share.State{Level: -1})),
			head("02") + "03" + lim + key + "7f" + "00",
		},
		"a state that says everything, and two of other counters": {
			gossip.NewCounts(header,
				state(id, share.State{Level: 1, Rate: 1000, Demand: 0.5, Others: 9, Exact: true, Line: true, Seen: 150, Era: 300}),
				state(other, share.State{Level: 1}), state(third, share.State{Level: 1})),
			head("02") + "3f" + lim + key + "8001" + "09" + "447a00" + "3f0000" + "ac02" + "ac02" +
				"01" + "00000000000000010000000000000002" + "8001" + "00" +
				"03" + "0000000000000009" + "00" + "00000000000000030000000000000004" + "8001" + "00",
		},
		"a page": {
			gossip.NewPage(header, 7, 1, 3, state(id, share.State{Level: 1})),
			head("04") + "00000007" + "00000001" + "00000003" + "03" + lim + key + "8001" + "00",
		},
	}
}

func TestTheBytesOnTheWire(t *testing.T) {
	for name, c := range samples() {
		t.Run(name, func(t *testing.T) {
			if got := hex.EncodeToString(c.frame); got != c.want {
				t.Errorf("encoded as\n%s, want\n%s", got, c.want)
			}
			again, err := gossip.Reencode(c.frame)
			if err != nil || !bytes.Equal(again, c.frame) {
				t.Errorf("decoded and encoded again as\n%x (%v), want\n%s", again, err, c.want)
			}
		})
	}
}

// entries draws what nodes may say of counters.
func entries(t *rapid.T) []gossip.Entry {
	rate := func(name string) float64 {
		return share.Round(rapid.OneOf(rapid.Just(0.), rapid.Float64Range(1e-3, 1e9)).Draw(t, name))
	}
	ids := []share.ID{id, other, third}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) gossip.Entry {
		id := ids[rapid.IntRange(0, 2).Draw(t, "counter")]
		level := float64(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "level")) / 64
		if rapid.Bool().Draw(t, "is a state") {
			s := share.State{
				Level: level, Rate: rate("rate"), Demand: rate("demand"),
				Others: rapid.Int32Range(0, math.MaxInt32).Draw(t, "others"), Exact: rapid.Bool().Draw(t, "exact"),
			}
			if s.Line = rapid.Bool().Draw(t, "line"); s.Line {
				s.Seen, s.Era = rapid.Int64Range(-1<<53, 1<<53).Draw(t, "seen"), rapid.Uint16().Draw(t, "era")
			}
			return state(id, s)
		}
		r := share.Report{
			Taken: rapid.Int64Range(-1<<53, 1<<53).Draw(t, "taken"), Level: level,
			Rate: rate("rate"), Demand: rate("demand"), Era: rapid.Uint16().Draw(t, "era"),
			Age:   limit.Span(rapid.Int64Range(0, 1<<21-1).Draw(t, "age")) * limit.Millisecond,
			Fresh: rapid.Bool().Draw(t, "fresh"), HandOver: rapid.Bool().Draw(t, "hand over"),
		}
		if r.Register = rapid.Bool().Draw(t, "register"); r.Register {
			r.OthersRate, r.OthersDemand = rate("others' rate"), rate("others' demand")
			r.Untold = rapid.Int64Range(0, 1<<53).Draw(t, "untold")
		}
		return report(id, r)
	}), 0, 12).Draw(t, "entries")
}

func TestWhatIsSaidArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := entries(t)
		h, got, err := gossip.Decode(gossip.NewCounts(header, want...))
		if err != nil || h != header {
			t.Fatalf("Decode() = %+v, %v", h, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("entries (-sent +received):\n%s", diff)
		}
	})
}

// One entry more always fits into a frame that is not full.
func TestTheLargestEntry(t *testing.T) {
	empty := len(gossip.NewCounts(header))
	for _, e := range []gossip.Entry{
		report(id, share.Report{
			Taken: -1 << 53, Level: -math.MaxFloat64, Rate: 1e9, Demand: 1e9, Age: limit.Forever, Era: math.MaxUint16,
			Fresh: true, Register: true, OthersRate: 1e9, OthersDemand: 1e9, Untold: 1 << 53, HandOver: true,
		}),
		state(id, share.State{Level: math.MaxFloat64, Rate: 1e9, Demand: 1e9, Others: math.MaxInt32, Exact: true, Line: true, Seen: -1 << 53, Era: math.MaxUint16}),
	} {
		e.Variant = math.MaxUint16
		frame := gossip.NewCounts(header, e)
		if got := len(frame) - empty; got > gossip.MaxEntry {
			t.Errorf("%+v takes %d bytes, want at most %d", e, got, gossip.MaxEntry)
		}
		if _, err := gossip.Reencode(frame); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	all := samples()
	counts, page, hello := all["a report that says everything"].frame, all["a page"].frame, all["a hello"].frame
	edit := func(frame []byte, at int, bytes ...byte) []byte {
		b := append([]byte(nil), frame...)
		if at < 0 {
			at += len(b)
		}
		copy(b[at:], bytes)
		return b
	}
	zero := share.ID{Limit: 1}
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"nothing", nil},
		{"another version", edit(counts, 0, 1)},
		{"an unknown kind", edit(counts, 1, 9)},
		{"an unknown flag", edit(counts, 2, 0x81)},
		{"a node without a life", edit(counts, 3, make([]byte, 8)...)},
		{"a hello without a name", hello[:len(hello)-6]},
		{"a name that is too long", append(append([]byte(nil), hello...), strings.Repeat("n", 250)...)},
		{"a question with more behind it", append(append([]byte(nil), all["a question"].frame...), 0)},
		{"a question that acknowledges something", edit(append(append([]byte(nil), all["a question"].frame...), 0, 0, 0, 0, 0, 0, 0, 0), 2, 3)},
		{"a page beyond the last", edit(page, 23, 0, 0, 0, 3)},
		{"too many pages", edit(page, 27, 0, 0x20)},
		{"a counter without a key", gossip.NewCounts(header, report(zero, share.Report{}))},
		{"a first entry without a limit", edit(counts, 19, 0xfa)},
		{"a variant above 65535", edit(counts, 28, 0xff, 0xff, 0x7f)},
		{"an endless number", append(append([]byte(nil), counts[:46]...), bytes.Repeat([]byte{0xff}, 12)...)},
		{"a rate that is not a number", edit(counts, -4, 0x7f, 0xc0, 0)},
		{"a negative rate", edit(counts, -4, 0xbf, 0, 0)},
		{"an endless rate", edit(counts, -4, 0x7f, 0x80, 0)},
		{"a state with a report's flags", edit(all["a state that says as little as possible"].frame, 19, 0x83)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if b, err := gossip.Reencode(c.frame); err == nil {
				t.Errorf("accepted as %x", b)
			}
		})
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for name, c := range samples() {
		ends := map[int]bool{len(c.frame): true}
		switch {
		case strings.Contains(name, "hello"): // the name is the rest of the frame
			for n := range 5 {
				ends[len(c.frame)-n-1] = true
			}
		case strings.Contains(name, "two of other"): // an end of an entry is an end of a frame
			ends[19], ends[len(c.frame)-29], ends[len(c.frame)-29-20] = true, true, true
		case strings.Contains(name, "question"), strings.Contains(name, "acknowledgement"):
		case strings.Contains(name, "page"):
			ends[31] = true
		default:
			ends[19] = true
		}
		for n := range c.frame {
			if b, err := gossip.Reencode(c.frame[:n]); (err == nil) != ends[n] {
				t.Errorf("%s: the first %d bytes of %x are taken for %x, %v", name, n, c.frame, b, err)
			}
		}
	}
}

// FuzzFrame hands arbitrary bytes to the decoder: what it accepts is encoded to
// something that means the same, and does not grow.
func FuzzFrame(f *testing.F) {
	for _, c := range samples() {
		f.Add(c.frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		again, err := gossip.Reencode(frame)
		if err != nil {
			return
		}
		// An age takes three bytes, and may be written in one by others; an entry has twenty.
		if len(again) > len(frame)+2*len(frame)/20 {
			t.Fatalf("%x grew to %x", frame, again)
		}
		twice, err := gossip.Reencode(again)
		if err != nil || !bytes.Equal(twice, again) {
			t.Fatalf("%x is encoded as %x, and then as %x (%v)", frame, again, twice, err)
		}
	})
}
