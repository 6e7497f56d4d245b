package lease

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// A frame, big-endian:
//
//	version 1 | life 8 | seed tag 4 | seq 4 | count of acks 1, each 4 | entries
//
// and an entry, until the end of the frame:
//
//	ask:   kind 1 | key 16 | limit 8 | variant | life, carried, granted, settled,
//	       returned, refunded, owed, want, least | demand 4 | stamp 4
//	grant: kind 1 | key 16 | life, granted, gone | stamp 4 | term, deny, retry | left | reset
//	copy:  kind 1 | key 16 | limit 8 | variant | used, outstanding | rest, and unless that
//	       is 0, what slides out of the window in it and in the two sub-windows then
//	over:  as copy, of a book that the receiver is to own
//	want:  kind 1 | serial 4 | chunk 2 | count 1, partitions 2 each: who decides on them?
//	done:  kind 1 | serial 4 | chunk 2: the sender of it does not
//
// with numbers as varints, spans in microseconds, and the demand as a float32. Whatever
// does not have this form exactly is refused as a whole.
const (
	// Version is the first byte of a frame; those of package gossip begin below 128.
	Version = 129

	headerSize   = 1 + 8 + 4 + 4 + 1
	maxFrame     = 1200 // as in package gossip
	maxEntrySize = 1 + 16 + 8 + 3 + 9*binary.MaxVarintLen64 + 8
	maxAcks      = 32
	maxChunk     = 48
	maxCount     = 1 << 53 // of tokens
	maxDemand    = 1e15
	maxWait      = uint64(decide.MaxFill) / 1000
)

type kind uint8

const (
	kindAsk kind = 1 + iota
	kindGrant
	kindCopy
	kindOver
	kindDone
	kindWant
)

// ErrMalformed says that a frame is not one of this protocol and version.
var ErrMalformed = errors.New("malformed lease frame")

// frame is a decoded frame; valid until the next decode.
type frame struct {
	life    uint64
	tag     uint32
	seq     uint32
	acks    []uint32
	entries []entry
}

// entry is one of the kinds; what belongs to others is zero.
type entry struct {
	kind  kind
	id    share.ID // of a grant only the key
	ask   Ask
	grant Grant
	sum   sum

	serial uint32
	chunk  uint16
	parts  []uint16
}

// decode fills f from b. After an error f holds nothing of use.
func (f *frame) decode(b []byte) error {
	if len(b) < headerSize {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if b[0] != Version {
		return fmt.Errorf("%w: version %d, this is version %d", ErrMalformed, b[0], Version)
	}
	f.life, f.tag, f.seq = binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint32(b[9:]), binary.BigEndian.Uint32(b[13:])
	f.acks, f.entries = f.acks[:0], f.entries[:0]
	r := reader{b: b[headerSize:]}
	if b[17] > maxAcks {
		return fmt.Errorf("%w: %d acknowledgements", ErrMalformed, b[17])
	}
	for range b[17] {
		f.acks = append(f.acks, r.uint32())
	}
	for len(r.b) > 0 && !r.bad {
		f.entries = append(f.entries, r.entry())
	}
	if r.bad {
		return fmt.Errorf("%w: entry %d", ErrMalformed, len(f.entries))
	}
	return nil
}

// reader reads from b; bad once something was not there or out of bounds.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n int) []byte {
	if len(r.b) < n {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.bytes(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.bytes(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.bytes(8)) }

func (r *reader) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) count() uint64        { return r.uvarint(maxCount) }
func (r *reader) amount() limit.Amount { return limit.Amount(r.uvarint(maxCount)) }
func (r *reader) span() limit.Span     { return limit.Span(r.uvarint(maxWait)) * 1000 }

func (r *reader) key() limit.Key {
	k := limit.Key{Hi: r.uint64(), Lo: r.uint64()}
	r.bad = r.bad || k.IsZero()
	return k
}

func (r *reader) id() share.ID {
	return share.ID{Key: r.key(), Limit: r.uint64(), Variant: uint16(r.uvarint(math.MaxUint16))}
}

func (r *reader) entry() (e entry) {
	switch e.kind = kind(r.bytes(1)[0]); e.kind {
	case kindAsk:
		e.id = r.id()
		e.ask = r.ask()
	case kindGrant:
		e.id.Key = r.key()
		e.grant = r.grant()
	case kindCopy, kindOver:
		e.id, e.sum = r.id(), r.sum()
	case kindWant:
		e.serial, e.chunk = r.uint32(), r.uint16()
		count := r.bytes(1)[0]
		r.bad = r.bad || count == 0 || count > maxChunk
		for range min(count, maxChunk) {
			e.parts = append(e.parts, r.uint16())
		}
	case kindDone:
		e.serial, e.chunk = r.uint32(), r.uint16()
	default:
		r.bad = true
	}
	return e
}

// sum reads what is told of a book: no more slides out of a window than is used in it.
func (r *reader) sum() sum {
	s := sum{used: r.amount(), outstanding: r.amount()}
	if s.past.rest = r.span(); s.past.rest > 0 {
		left := s.used
		for i := range s.past.out {
			s.past.out[i] = r.amount()
			left -= s.past.out[i]
		}
		r.bad = r.bad || left < 0
	}
	return s
}

// ask reads an Ask, in which nothing is gone that was not granted.
func (r *reader) ask() Ask {
	k := Ask{
		Life: uint32(r.uvarint(math.MaxUint32)), Carried: r.uvarint(uint64(decide.MaxRequests)), Granted: r.count(),
		Settled: r.count(), Returned: r.count(), Refunded: r.count(), Owed: r.count(), Want: r.amount(), Least: r.amount(),
		Demand: float64(math.Float32frombits(r.uint32())), Stamp: r.uint32(),
	}
	r.bad = r.bad || !(k.Demand >= 0 && k.Demand <= maxDemand) || k.Carried > k.Granted || k.Settled+k.Returned > k.Granted
	return k
}

func (r *reader) grant() Grant {
	g := Grant{
		Life: uint32(r.uvarint(math.MaxUint32)), Granted: r.count(), Gone: r.count(), Stamp: r.uint32(),
		Term: r.span(), Deny: r.span(), Retry: r.span(), Left: r.amount(), Reset: r.span(),
	}
	r.bad = r.bad || g.Gone > g.Granted
	return g
}

// writer builds one frame at a time in a buffer that it keeps.
type writer struct {
	buf     []byte
	entries int
}

func (w *writer) begin(life uint64, tag uint32, acks []uint32) {
	w.entries = 0
	w.buf = binary.BigEndian.AppendUint64(append(w.buf[:0], Version), life)
	w.buf = binary.BigEndian.AppendUint32(w.buf, tag)
	w.buf = append(w.buf, 0, 0, 0, 0, byte(len(acks))) // the number, when it is sent
	for _, a := range acks {
		w.buf = binary.BigEndian.AppendUint32(w.buf, a)
	}
}

// number writes the frame's number, and returns the frame.
func (w *writer) number(seq uint32) []byte {
	binary.BigEndian.PutUint32(w.buf[13:], seq)
	return w.buf
}

// full says that another entry may not fit.
func (w *writer) full() bool { return len(w.buf)+maxEntrySize > maxFrame }

func (w *writer) begun(k kind, key limit.Key) {
	w.entries++
	w.buf = append(w.buf, byte(k))
	w.buf = binary.BigEndian.AppendUint64(w.buf, key.Hi)
	w.buf = binary.BigEndian.AppendUint64(w.buf, key.Lo)
}

func (w *writer) named(k kind, id share.ID) {
	w.begun(k, id.Key)
	w.buf = binary.BigEndian.AppendUint64(w.buf, id.Limit)
	w.uvarints(uint64(id.Variant))
}

func (w *writer) uvarints(vs ...uint64) {
	for _, v := range vs {
		w.buf = binary.AppendUvarint(w.buf, v)
	}
}

func (w *writer) ask(id share.ID, k *Ask) {
	w.named(kindAsk, id)
	w.uvarints(uint64(k.Life), k.Carried, k.Granted, k.Settled, k.Returned, k.Refunded, k.Owed, amount(k.Want), amount(k.Least))
	w.buf = binary.BigEndian.AppendUint32(w.buf, math.Float32bits(float32(min(k.Demand, maxDemand))))
	w.buf = binary.BigEndian.AppendUint32(w.buf, k.Stamp)
}

func (w *writer) grant(key limit.Key, g *Grant) {
	w.begun(kindGrant, key)
	w.uvarints(uint64(g.Life), g.Granted, g.Gone)
	w.buf = binary.BigEndian.AppendUint32(w.buf, g.Stamp)
	w.uvarints(micros(g.Term), micros(g.Deny), micros(g.Retry), amount(g.Left), micros(g.Reset))
}

func (w *writer) book(k kind, id share.ID, s sum) {
	w.named(k, id)
	w.uvarints(amount(s.used), amount(s.outstanding), micros(s.past.rest))
	if micros(s.past.rest) > 0 {
		for _, out := range s.past.out {
			w.uvarints(amount(out))
		}
	}
}

// want asks who decides on a chunk of partitions, at most maxChunk.
func (w *writer) want(serial uint32, chunk uint16, partitions []uint16) {
	w.chunk(kindWant, serial, chunk)
	w.buf = append(w.buf, byte(len(partitions)))
	for _, p := range partitions {
		w.buf = binary.BigEndian.AppendUint16(w.buf, p)
	}
}

func (w *writer) done(serial uint32, chunk uint16) { w.chunk(kindDone, serial, chunk) }

func (w *writer) chunk(k kind, serial uint32, chunk uint16) {
	w.entries++
	w.buf = binary.BigEndian.AppendUint32(append(w.buf, byte(k)), serial)
	w.buf = binary.BigEndian.AppendUint16(w.buf, chunk)
}

func amount(a limit.Amount) uint64 { return min(uint64(max(0, a)), maxCount) }

func micros(d limit.Span) uint64 { return min(uint64(max(0, d))/1000, maxWait) }

var _ = [1]struct{}{}[ring.Partitions-1<<16] // a partition is written in two bytes
