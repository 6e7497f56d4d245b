package lease

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

var (
	wireID    = share.ID{Key: limit.Key{Hi: 0x3132333435363738, Lo: 0x4142434445464748}, Limit: 0x5152535455565758, Variant: 300}
	wireAsk   = Ask{Life: 1, Carried: 2, Granted: 300, Settled: 4, Returned: 5, Refunded: 6, Owed: 8, Want: 7, Least: 1, Demand: 1000, Stamp: 0x61626364}
	wireGrant = Grant{Life: 1, Granted: 300, Gone: 9, Stamp: 0x61626364, Term: Term, Deny: limit.Millisecond, Retry: 2 * limit.Millisecond, Left: 10, Reset: 3 * limit.Millisecond}
)

// frameOf builds a frame of entries.
func frameOf(acks []uint32, entries ...entry) []byte {
	var w writer
	w.begin(0x0102030405060708, 0x21222324, acks)
	for i := range entries {
		switch e := &entries[i]; e.kind {
		case kindAsk:
			w.ask(e.id, &e.ask)
		case kindGrant:
			w.grant(e.id.Key, &e.grant)
		case kindCopy, kindOver:
			w.book(e.kind, e.id, e.sum)
		case kindWant:
			w.want(e.serial, e.chunk, e.parts)
		case kindDone:
			w.done(e.serial, e.chunk)
		}
	}
	return w.number(0x11121314)
}

// These bytes are a contract between versions that run side by side during a rollout: a
// change of them is a new version.
func TestTheBytesOnTheWire(t *testing.T) {
	const (
		head = "81" + "0102030405060708" + "21222324" + "11121314"
		key  = "3132333435363738" + "4142434445464748"
		name = key + "5152535455565758" + "ac02"
	)
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"nothing but acknowledgements", frameOf([]uint32{1, 2}), head + "02" + "00000001" + "00000002"},
		{"a question", frameOf(nil, entry{kind: kindAsk, id: wireID, ask: wireAsk}), head + "00" + "01" + name + "0102ac020405060807" + "01" + "447a0000" + "61626364"},
		{"an answer", frameOf(nil, entry{kind: kindGrant, id: wireID, grant: wireGrant}), head + "00" + "02" + key + "01ac0209" + "61626364" + "c0843d" + "e807" + "d00f" + "0a" + "b817"},
		{"a copy", frameOf(nil, entry{kind: kindCopy, id: wireID, sum: sum{used: 5, outstanding: 300}}), head + "00" + "03" + name + "05ac0200"},
		{"a copy of a sliding window", frameOf(nil, entry{kind: kindCopy, id: wireID, sum: sum{9, 300, past{2 * limit.Millisecond, [subWindows]limit.Amount{1, 2, 3}}}}), head + "00" + "03" + name + "09ac02d00f010203"},
		{"a book for its new owner", frameOf(nil, entry{kind: kindOver, id: wireID, sum: sum{used: 5}}), head + "00" + "04" + name + "050000"},
		{"done, and wanted", frameOf(nil, entry{kind: kindDone, serial: 1, chunk: 2}, entry{kind: kindWant, serial: 3, chunk: 4, parts: []uint16{5, 0xffff}}), head + "00" + "05" + "00000001" + "0002" + "06" + "00000003" + "0004" + "02" + "0005ffff"},
	} {
		if got := hex.EncodeToString(c.frame); got != c.want {
			t.Errorf("%s: encoded as\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

func entries(t *rapid.T) []entry {
	count := func(name string) uint64 { return rapid.Uint64Range(0, maxCount).Draw(t, name) }
	amount := func(name string) limit.Amount { return limit.Amount(count(name)) }
	span := func(name string) limit.Span {
		return limit.Span(rapid.Uint64Range(0, maxWait).Draw(t, name)) * 1000
	}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) entry {
		e := entry{kind: kind(rapid.IntRange(1, int(kindWant)).Draw(t, "kind"))}
		if e.kind <= kindOver {
			e.id = share.ID{Key: limit.Key{Hi: rapid.Uint64Range(1, math.MaxUint64).Draw(t, "high"), Lo: rapid.Uint64().Draw(t, "low")}}
		}
		if e.kind <= kindOver && e.kind != kindGrant {
			e.id.Limit, e.id.Variant = rapid.Uint64().Draw(t, "limit"), rapid.Uint16().Draw(t, "variant")
		}
		switch e.kind {
		case kindAsk:
			granted := count("granted")
			settled := rapid.Uint64Range(0, granted).Draw(t, "settled")
			e.ask = Ask{
				Life: rapid.Uint32().Draw(t, "life"), Carried: min(granted, uint64(decide.MaxRequests)), Granted: granted, Settled: settled,
				Returned: rapid.Uint64Range(0, granted-settled).Draw(t, "returned"), Refunded: count("refunded"), Want: amount("want"), Least: amount("least"),
				Demand: float64(rapid.Float32Range(0, 1e14).Draw(t, "demand")), Stamp: rapid.Uint32().Draw(t, "stamp"),
			}
		case kindGrant:
			granted := count("granted")
			e.grant = Grant{
				Life: rapid.Uint32().Draw(t, "life"), Granted: granted, Gone: rapid.Uint64Range(0, granted).Draw(t, "gone"), Stamp: rapid.Uint32().Draw(t, "stamp"),
				Term: span("term"), Deny: span("deny"), Retry: span("retry"), Left: amount("left"), Reset: span("reset"),
			}
		case kindCopy, kindOver:
			e.sum = sum{used: amount("used"), outstanding: amount("outstanding")}
			if e.sum.past.rest = span("rest"); e.sum.past.rest > 0 {
				e.sum.past.out = [subWindows]limit.Amount{e.sum.used / 4, e.sum.used / 2, e.sum.used / 8}
			}
		case kindWant:
			e.parts = rapid.SliceOfN(rapid.Uint16(), 1, maxChunk).Draw(t, "partitions")
			fallthrough
		default:
			e.serial, e.chunk = rapid.Uint32().Draw(t, "serial"), rapid.Uint16().Draw(t, "chunk")
		}
		return e
	}), 0, 8).Draw(t, "entries")
}

func TestWhatIsSaidArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := entries(t)
		acks := rapid.SliceOfN(rapid.Uint32(), 0, maxAcks).Draw(t, "acks")
		var f frame
		if err := f.decode(frameOf(acks, want...)); err != nil {
			t.Fatal(err)
		}
		if f.life != 0x0102030405060708 || f.tag != 0x21222324 || f.seq != 0x11121314 {
			t.Fatalf("the header is %x %x %x", f.life, f.tag, f.seq)
		}
		if diff := cmp.Diff(want, append([]entry{}, f.entries...), cmp.AllowUnexported(entry{}, sum{}, past{})); diff != "" {
			t.Fatalf("entries (-sent +received):\n%s", diff)
		}
		if diff := cmp.Diff(acks, append([]uint32{}, f.acks...)); diff != "" {
			t.Fatalf("acknowledgements (-sent +received):\n%s", diff)
		}
	})
}

// An entry fits into every frame that is not full.
func TestNoFrameIsTooLong(t *testing.T) {
	largest := Ask{Life: math.MaxUint32, Carried: maxCount, Granted: maxCount, Settled: maxCount, Returned: maxCount, Refunded: maxCount, Want: limit.MaxAmount, Least: limit.MaxAmount}
	var w writer
	w.begin(1, 2, make([]uint32, maxAcks))
	for !w.full() {
		w.ask(wireID, &largest)
	}
	if len(w.buf) > maxFrame {
		t.Errorf("a frame of %d bytes", len(w.buf))
	}
	if got := len(frameOf(nil, entry{kind: kindWant, parts: make([]uint16, maxChunk)})) - headerSize; got > maxEntrySize {
		t.Errorf("an entry of %d bytes", got)
	}
}

func TestMalformedFrames(t *testing.T) {
	good := hex.EncodeToString(frameOf(nil, entry{kind: kindAsk, id: wireID, ask: wireAsk}))
	for _, c := range []struct{ name, frame, want string }{
		{"empty", "", "0 bytes"},
		{"only a header's part", good[:20], "10 bytes"},
		{"another version", "82" + good[2:], "version 130, this is version 129"},
		{"too many acknowledgements", good[:34] + "21" + good[36:], "33 acknowledgements"},
		{"cut off", good[:len(good)-2], "entry 1"},
		{"an unknown kind", good[:36] + "07" + good[38:], "entry 1"},
		{"no key", good[:38] + strings.Repeat("00", 16) + good[70:], "entry 1"},
		{"wanted: nothing", good[:36] + "06" + "00000001" + "0001" + "00", "entry 1"},
	} {
		b, err := hex.DecodeString(c.frame)
		if err != nil {
			t.Fatal(err)
		}
		var f frame
		if err := f.decode(b); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// What can be read can be written, and read again as the same.
func FuzzFrame(f *testing.F) {
	f.Add(frameOf([]uint32{1}, entry{kind: kindAsk, id: wireID, ask: wireAsk}, entry{kind: kindGrant, id: wireID, grant: wireGrant}))
	f.Add(frameOf(nil, entry{kind: kindCopy, id: wireID, sum: sum{used: 5, outstanding: 300}}, entry{kind: kindWant, serial: 1, parts: []uint16{1, 2}}, entry{kind: kindDone, serial: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var once, again frame
		if once.decode(data) != nil {
			return
		}
		if err := again.decode(frameOf(once.acks, once.entries...)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once.entries, again.entries, cmp.AllowUnexported(entry{}, sum{}, past{})); diff != "" {
			t.Fatalf("entries (-first +second):\n%s", diff)
		}
	})
}

// Whatever comes, a node goes on: it grants no more than there is.
func FuzzReceive(f *testing.F) {
	f.Add(frameOf([]uint32{1}, entry{kind: kindAsk, id: wireID, ask: wireAsk}, entry{kind: kindGrant, id: wireID, grant: wireGrant}))
	f.Add(frameOf(nil, entry{kind: kindCopy, id: wireID, sum: sum{used: 5, outstanding: 300}}, entry{kind: kindOver, id: wireID, sum: sum{used: maxCount, outstanding: maxCount}}))
	f.Add(frameOf(nil, entry{kind: kindWant, serial: 1, parts: []uint16{1, 2}}, entry{kind: kindDone, serial: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _ := decide.TokenBucket(10, limit.Second, 20)
		n, err := New(Options{Name: "a", Life: 1, MaxKeys: 64, Params: func(limit.Instant, uint64, uint16) *decide.Params { return &p }})
		if err != nil {
			t.Fatal(err)
		}
		now := limit.Instant(limit.Hour)
		n.SetPool(now, Pool{Owns: true, Tag: 0x21222324, Peers: []Peer{{Name: "b", Number: 1, Address: "b", Life: 0x0102030405060708, Owns: true, Reachable: true}}})
		n.Tick(now.Add(2*awaitMost), void{})
		now = now.Add(2 * awaitMost)
		_ = n.Receive(now, "b", data, void{}) // it may be malformed
		n.Flush(now, void{})
		admitted := limit.Amount(0)
		for i := range uint64(50) {
			c := Charge{ID: wireID, Params: &p, Cost: 1, OnUnreachable: Deny}
			c.ID.Key.Hi += i / 25
			if n.Take(now, &c, nil); c.Outcome == Admitted {
				admitted++
			}
		}
		if admitted > 2*20 {
			t.Fatalf("%d tokens of two counters of 20", admitted)
		}
		n.Tick(now.Add(Interval), void{})
	})
}

type void struct{}

func (void) Send(string, []byte) {}
