package gossip

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// A frame is one datagram, big-endian:
//
//	version 1 | kind 1 | flags 1 | name length 1 | name | life 8 |
//	seed 16 | seed born 8 | round 4 |
//	  ask:    cursor 8
//	  page:   cursor 8 | next 8 | entries
//	  counts: entries
//
// and an entry, until the end of the frame:
//
//	key 16 | limit 8 | variant, era, own (zigzag), used as varints
//
// Whatever does not have this form exactly is refused as a whole.
const (
	// MaxFrame is the largest frame in bytes: it fits into one Ethernet packet
	// under any tunnel in use.
	MaxFrame = 1200

	version = 1

	flagSettled = 1 << 0 // the sender has joined
	flagDone    = 1 << 1 // page: the last one
	flagMore    = 1 << 2 // page: the next one follows without being asked for

	headerSize   = 4 + 8 + 16 + 8 + 4 // without the name
	minEntrySize = 16 + 8 + 4
	maxEntrySize = 16 + 8 + 3 + 3*binary.MaxVarintLen64
)

type kind uint8

const (
	kindCounts kind = 1 + iota
	kindAsk
	kindPage
)

// frame is a decoded frame. Its name and entries are valid until the next
// decode.
type frame struct {
	kind    kind
	settled bool
	node    []byte
	life    uint64
	seed    Seed
	round   uint32

	link // page; of an ask only the cursor

	entries []Entry
}

// decode fills f from b. After an error f holds nothing of use.
func (f *frame) decode(b []byte) error {
	if len(b) > MaxFrame || len(b) < headerSize {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if b[0] != version {
		return fmt.Errorf("%w: version %d, this is version %d", ErrMalformed, b[0], version)
	}
	flags, name := b[2], int(b[3])
	f.kind, f.settled, f.done, f.more = kind(b[1]), flags&flagSettled != 0, flags&flagDone != 0, flags&flagMore != 0
	if name == 0 || name > maxNodeName || len(b) < headerSize+name {
		return fmt.Errorf("%w: node name of %d bytes", ErrMalformed, name)
	}
	f.node = append(f.node[:0], b[4:4+name]...)
	b = b[4+name:]
	f.life = binary.BigEndian.Uint64(b)
	f.seed.Value = [16]byte(b[8:24])
	f.seed.Born = limit.Instant(binary.BigEndian.Uint64(b[24:]))
	f.round = binary.BigEndian.Uint32(b[32:])
	b = b[36:]
	f.entries = f.entries[:0]
	switch {
	case f.kind == kindCounts && flags&^flagSettled == 0:
	case f.kind == kindAsk && flags&^flagSettled == 0 && len(b) == 8:
		f.cursor = binary.BigEndian.Uint64(b)
		return nil
	case f.kind == kindPage && flags&^(flagSettled|flagDone|flagMore) == 0 && len(b) >= 16:
		f.cursor, f.next = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		b = b[16:]
	default:
		return fmt.Errorf("%w: kind %d with flags %#x and %d bytes", ErrMalformed, f.kind, flags, len(b))
	}
	return f.decodeEntries(b)
}

func (f *frame) decodeEntries(b []byte) error {
	for len(b) > 0 {
		var e Entry
		n, ok := e.decode(b)
		if !ok {
			return fmt.Errorf("%w: entry %d", ErrMalformed, len(f.entries))
		}
		f.entries = append(f.entries, e)
		b = b[n:]
	}
	return nil
}

// decode returns the size of the entry at the start of b.
func (e *Entry) decode(b []byte) (int, bool) {
	if len(b) < minEntrySize {
		return 0, false
	}
	e.Key = limit.Key{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
	e.Limit = binary.BigEndian.Uint64(b[16:])
	at := 24
	variant, n := binary.Uvarint(b[at:])
	if at += n; n <= 0 || variant > math.MaxUint16 {
		return 0, false
	}
	era, n := binary.Uvarint(b[at:])
	if at += n; n <= 0 {
		return 0, false
	}
	own, n := binary.Varint(b[at:])
	if at += n; n <= 0 {
		return 0, false
	}
	used, n := binary.Uvarint(b[at:])
	if at += n; n <= 0 || used > math.MaxInt64 || e.Key.IsZero() {
		return 0, false
	}
	e.Variant, e.Era, e.Own, e.Used = uint16(variant), era, limit.Amount(own), limit.Amount(used)
	return at, true
}

// writer builds one frame at a time in a buffer that it keeps.
type writer struct {
	buf     []byte
	entries int
}

// begin starts a frame with the header of f.
func (w *writer) begin(f *frame) {
	if w.buf == nil {
		w.buf = make([]byte, 0, MaxFrame)
	}
	var flags byte
	if f.settled {
		flags |= flagSettled
	}
	w.entries = 0
	w.buf = append(w.buf[:0], version, byte(f.kind), flags, byte(len(f.node)))
	w.buf = append(w.buf, f.node...)
	w.buf = binary.BigEndian.AppendUint64(w.buf, f.life)
	w.buf = append(w.buf, f.seed.Value[:]...)
	w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(f.seed.Born))
	w.buf = binary.BigEndian.AppendUint32(w.buf, f.round)
}

// room is how many more entries surely fit.
func (w *writer) room() int { return (MaxFrame - len(w.buf)) / maxEntrySize }

func (w *writer) cursor(c uint64) { w.buf = binary.BigEndian.AppendUint64(w.buf, c) }

// page writes the cursors of a page and returns where the second one is, for
// finishPage.
func (w *writer) page(cursor uint64) int {
	w.cursor(cursor)
	at := len(w.buf)
	w.cursor(0)
	return at
}

// finishPage fills in what is known only after the entries were written.
func (w *writer) finishPage(at int, next uint64, done, more bool) {
	binary.BigEndian.PutUint64(w.buf[at:], next)
	switch {
	case done:
		w.buf[2] |= flagDone
	case more:
		w.buf[2] |= flagMore
	}
}

func (w *writer) entry(e *Entry) {
	w.entries++
	w.buf = binary.BigEndian.AppendUint64(w.buf, e.Key.Hi)
	w.buf = binary.BigEndian.AppendUint64(w.buf, e.Key.Lo)
	w.buf = binary.BigEndian.AppendUint64(w.buf, e.Limit)
	w.buf = binary.AppendUvarint(w.buf, uint64(e.Variant))
	w.buf = binary.AppendUvarint(w.buf, e.Era)
	w.buf = binary.AppendVarint(w.buf, int64(e.Own))
	w.buf = binary.AppendUvarint(w.buf, uint64(max(0, e.Used)))
}
