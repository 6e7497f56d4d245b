package gossip

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// A frame is one datagram, big-endian:
//
//	version 1 | kind 1 | flags 1 | life 8 | seq 4 | seed tag 4 | ack 4, mask 4 |
//	  hello:  seed 16 | born 8 | name
//	  counts: entries
//	  pull:   number 4
//	  page:   number 4 | index 4 | pages 4 | entries
//	| from 8, to 8
//
// and an entry, until the end of the frame:
//
//	flags 1 | limit 8, variant where they differ from the last entry's | key 16 |
//	  report: taken, level (zigzag), era | rate 3 | demand 3 | age | others' rate 3, demand 3, untold
//	  state:  level (zigzag), others | rate 3 | demand 3 | era, seen (zigzag)
//
// with numbers as varints, levels in 64ths of a token, rates in the upper 24 bits
// of a float32 and ages in milliseconds, always in three bytes, since they grow while
// the entry waits. What flags say is zero is left out. From and to are the hashes of
// names (ring.Hash), in a frame that goes by way of a third node. Whatever does not
// have this form exactly is refused as a whole.
const (
	// MaxFrame is the largest frame in bytes: it fits into one Ethernet packet
	// under any tunnel in use, with what a transport adds.
	MaxFrame = 1200

	version = 2

	flagSettled = 1 << 0 // of a frame: the sender has joined
	flagAck     = 1 << 1 // ack and mask are there
	flagRouted  = 1 << 2 // from and to are there
	flagDeaf    = 1 << 3 // the sender hears nothing directly from the receiver

	headerSize   = 3 + 8 + 4 + 4
	ackSize      = 8
	routeSize    = 16
	pageSize     = 12
	maxEntrySize = 1 + 8 + 3 + 16 + 4*binary.MaxVarintLen64 + 3 + 4*3 + 5
	levelUnit    = 64
	maxLevel     = 1 << 52 // of a level in its unit
	maxTaken     = 1 << 53 // of a count of tokens: exact as a float64, too
	maxRate      = 1e15
)

// The flags of an entry. fresh and exact, register and line share a bit.
const (
	entryState = 1 << iota
	entryLimit
	entryRate
	entryDemand
	entryFresh
	entryRegister
	entryHandOver
	entryAge

	entryExact = entryFresh
	entryLine  = entryRegister
	entryHeir  = entryHandOver
)

type kind uint8

const (
	kindHello kind = 1 + iota
	kindCounts
	kindPull
	kindPage
)

// frame is a decoded frame. Its name and entries are valid until the next
// decode.
type frame struct {
	kind    kind
	settled bool
	life    uint64
	seq     uint32
	tag     uint32
	acks    bool
	ack     receipt
	deaf    bool
	routed  bool
	route   route

	name []byte // hello
	seed Seed

	number, index, pages uint32 // pull, page

	entries []entry // counts, page
}

// entry is a report to a home, or a state that a home tells.
type entry struct {
	share.ID
	isState bool
	report  share.Report
	state   share.State
}

// decode fills f from b. After an error f holds nothing of use.
func (f *frame) decode(b []byte) error {
	if len(b) < headerSize {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if b[0] != version {
		return fmt.Errorf("%w: version %d, this is version %d", ErrMalformed, b[0], version)
	}
	f.kind, f.settled = kind(b[1]), b[2]&flagSettled != 0
	f.life, f.seq, f.tag = binary.BigEndian.Uint64(b[3:]), binary.BigEndian.Uint32(b[11:]), binary.BigEndian.Uint32(b[15:])
	f.entries = f.entries[:0]
	rest := b[headerSize:]
	f.deaf = b[2]&flagDeaf != 0
	if f.routed = b[2]&flagRouted != 0; f.routed {
		end := len(rest) - routeSize
		if end < 0 {
			return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
		}
		f.route = route{from: binary.BigEndian.Uint64(rest[end:]), to: binary.BigEndian.Uint64(rest[end+8:])}
		rest = rest[:end]
	}
	if f.acks = b[2]&flagAck != 0; f.acks {
		if len(rest) < ackSize {
			return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
		}
		f.ack = receipt{last: binary.BigEndian.Uint32(rest), mask: binary.BigEndian.Uint32(rest[4:])}
		rest = rest[ackSize:]
	}
	switch {
	case b[2]&^(flagSettled|flagAck|flagRouted|flagDeaf) != 0 || f.life == 0 || f.acks && f.kind != kindCounts:
	case f.kind == kindHello && len(rest) > 24 && len(rest) <= 24+maxNodeName:
		f.seed = Seed{Value: [16]byte(rest), Born: limit.Instant(binary.BigEndian.Uint64(rest[16:]))}
		f.name = append(f.name[:0], rest[24:]...)
		return nil
	case f.kind == kindCounts:
		return f.decodeEntries(rest)
	case f.kind == kindPull && len(rest) == 4:
		f.number = binary.BigEndian.Uint32(rest)
		return nil
	case f.kind == kindPage && len(rest) >= pageSize:
		f.number, f.index, f.pages = binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:]), binary.BigEndian.Uint32(rest[8:])
		if f.index < f.pages && f.pages <= maxPages {
			return f.decodeEntries(rest[pageSize:])
		}
	}
	return fmt.Errorf("%w: kind %d with flags %#x and %d bytes", ErrMalformed, b[1], b[2], len(b))
}

func (f *frame) decodeEntries(b []byte) error {
	r := reader{b: b}
	var last share.ID
	for len(r.b) > 0 {
		var e entry
		if !r.entry(&e, &last) {
			return fmt.Errorf("%w: entry %d", ErrMalformed, len(f.entries))
		}
		f.entries = append(f.entries, e)
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
		r.bad = true
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint(most int64) int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 || v > most || v < -most {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// rate reads a rate, which is neither negative nor infinite.
func (r *reader) rate(present bool) float64 {
	if !present {
		return 0
	}
	b := r.bytes(3)
	v := math.Float32frombits(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8)
	if !(v >= 0 && v <= maxRate) {
		r.bad = true
		return 0
	}
	return float64(v)
}

func (r *reader) entry(e *entry, last *share.ID) bool {
	flags := r.bytes(1)[0]
	if flags&entryLimit != 0 {
		last.Limit = binary.BigEndian.Uint64(r.bytes(8))
		last.Variant = uint16(r.uvarint(math.MaxUint16))
	} else if last.Key.IsZero() {
		return false // the first entry names its limit
	}
	key := r.bytes(16)
	last.Key = limit.Key{Hi: binary.BigEndian.Uint64(key), Lo: binary.BigEndian.Uint64(key[8:])}
	e.ID, e.isState = *last, flags&entryState != 0
	if e.isState {
		r.state(&e.state, flags)
	} else {
		r.report(&e.report, flags)
	}
	return !r.bad && !e.Key.IsZero()
}

func (r *reader) report(rep *share.Report, flags byte) {
	rep.Fresh, rep.Register, rep.HandOver = flags&entryFresh != 0, flags&entryRegister != 0, flags&entryHandOver != 0
	rep.Taken = r.varint(maxTaken)
	rep.Level = float64(r.varint(maxLevel)) / levelUnit
	rep.Era = uint16(r.uvarint(math.MaxUint16))
	rep.Rate, rep.Demand = r.rate(flags&entryRate != 0), r.rate(flags&entryDemand != 0)
	if flags&entryAge != 0 {
		rep.Age = limit.Span(r.uvarint(uint64(limit.Day/limit.Millisecond))) * limit.Millisecond
	}
	if rep.Register {
		rep.OthersRate, rep.OthersDemand = r.rate(true), r.rate(true)
		rep.Untold = int64(r.uvarint(maxTaken))
	}
}

func (r *reader) state(s *share.State, flags byte) {
	s.Exact, s.Line, s.Heir = flags&entryExact != 0, flags&entryLine != 0, flags&entryHeir != 0
	s.Level = float64(r.varint(maxLevel)) / levelUnit
	s.Others = int32(r.uvarint(math.MaxInt32))
	s.Rate, s.Demand = r.rate(flags&entryRate != 0), r.rate(flags&entryDemand != 0)
	if s.Line {
		s.Era = uint16(r.uvarint(math.MaxUint16))
		s.Seen = r.varint(maxTaken)
	}
	if flags&entryAge != 0 {
		r.bad = true
	}
}

// writer builds one frame at a time in a buffer that it keeps.
type writer struct {
	buf     []byte
	entries int
	last    share.ID
	ages    []age
}

// age is where in a frame an age is, and since when it counts.
type age struct {
	place int
	since limit.Instant
}

// begin starts a frame. What is between its first bytes and the entries is for
// the caller to append.
func (w *writer) begin(k kind, settled bool, life uint64, tag uint32) {
	w.entries, w.last, w.ages = 0, share.ID{}, w.ages[:0]
	w.buf = append(w.buf[:0], version, byte(k), bit(settled, flagSettled))
	w.buf = binary.BigEndian.AppendUint64(w.buf, life)
	w.buf = append(w.buf, 0, 0, 0, 0) // the number, when it is sent
	w.buf = binary.BigEndian.AppendUint32(w.buf, tag)
}

// acknowledge adds what was received; nothing may have been added before.
func (w *writer) acknowledge(r receipt) {
	w.buf[2] |= flagAck
	w.buf = binary.BigEndian.AppendUint32(w.buf, r.last)
	w.buf = binary.BigEndian.AppendUint32(w.buf, r.mask)
}

// renew makes what acknowledge added up to date.
func (w *writer) renew(r receipt) {
	binary.BigEndian.PutUint32(w.buf[headerSize:], r.last)
	binary.BigEndian.PutUint32(w.buf[headerSize+4:], r.mask)
}

// full says that another entry may not fit.
func (w *writer) full() bool { return len(w.buf)+maxEntrySize+routeSize > MaxFrame }

// number writes the frame's number, and returns the frame.
func (w *writer) number(seq uint32) []byte {
	binary.BigEndian.PutUint32(w.buf[11:], seq)
	return w.buf
}

// deaf says that the sender hears nothing directly from the receiver.
func (w *writer) deaf() { w.buf[2] |= flagDeaf }

// routed adds from whom the frame is, and for whom, and returns it.
func (w *writer) routed(r route) []byte {
	w.buf[2] |= flagRouted
	w.buf = binary.BigEndian.AppendUint64(w.buf, r.from)
	w.buf = binary.BigEndian.AppendUint64(w.buf, r.to)
	return w.buf
}

// head writes what reports and states have in common.
func (w *writer) head(id *share.ID, flags byte, rate, demand float64) {
	if w.entries == 0 || id.Limit != w.last.Limit || id.Variant != w.last.Variant {
		flags |= entryLimit
	}
	if rate > 0 {
		flags |= entryRate
	}
	if demand > 0 {
		flags |= entryDemand
	}
	w.buf = append(w.buf, flags)
	if flags&entryLimit != 0 {
		w.buf = binary.BigEndian.AppendUint64(w.buf, id.Limit)
		w.buf = binary.AppendUvarint(w.buf, uint64(id.Variant))
	}
	w.buf = binary.BigEndian.AppendUint64(w.buf, id.Key.Hi)
	w.buf = binary.BigEndian.AppendUint64(w.buf, id.Key.Lo)
	w.last = *id
	w.entries++
}

func (w *writer) report(id *share.ID, rep *share.Report, now limit.Instant) {
	w.head(id, bit(rep.Fresh, entryFresh)|bit(rep.Register, entryRegister)|bit(rep.HandOver, entryHandOver)|bit(rep.Age > 0, entryAge), rep.Rate, rep.Demand)
	w.buf = binary.AppendVarint(w.buf, rep.Taken)
	w.level(rep.Level)
	w.buf = binary.AppendUvarint(w.buf, uint64(rep.Era))
	w.rates(rep.Rate, rep.Demand)
	if rep.Age > 0 {
		w.ages = append(w.ages, age{place: len(w.buf), since: now.Add(-rep.Age)})
		w.buf = append(w.buf, 0x80, 0, 0)
	}
	if rep.Register {
		w.rate(rep.OthersRate)
		w.rate(rep.OthersDemand)
		w.buf = binary.AppendUvarint(w.buf, uint64(max(0, rep.Untold)))
	}
}

func (w *writer) state(id *share.ID, s *share.State) {
	w.head(id, entryState|bit(s.Exact, entryExact)|bit(s.Line, entryLine)|bit(s.Heir, entryHeir), s.Rate, s.Demand)
	w.level(s.Level)
	w.buf = binary.AppendUvarint(w.buf, uint64(max(0, s.Others)))
	w.rates(s.Rate, s.Demand)
	if s.Line {
		w.buf = binary.AppendUvarint(w.buf, uint64(s.Era))
		w.buf = binary.AppendVarint(w.buf, s.Seen)
	}
}

// depart writes the ages of entries, which may have waited until now, as varints of
// always three bytes.
func (w *writer) depart(now limit.Instant) {
	for _, a := range w.ages {
		ms := min(max(0, now.Sub(a.since)+limit.Millisecond/2)/limit.Millisecond, 1<<21-1)
		w.buf[a.place], w.buf[a.place+1], w.buf[a.place+2] = byte(ms)|0x80, byte(ms>>7)|0x80, byte(ms>>14)
	}
	w.ages = w.ages[:0]
}

func (w *writer) level(tokens float64) {
	w.buf = binary.AppendVarint(w.buf, int64(min(max(math.Round(tokens*levelUnit), -maxLevel), maxLevel)))
}

func (w *writer) rates(rate, demand float64) {
	if rate > 0 {
		w.rate(rate)
	}
	if demand > 0 {
		w.rate(demand)
	}
}

func (w *writer) rate(v float64) {
	bits := math.Float32bits(float32(min(v, maxRate)))
	w.buf = append(w.buf, byte(bits>>24), byte(bits>>16), byte(bits>>8))
}

func bit(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}
