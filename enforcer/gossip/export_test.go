package gossip

import (
	"encoding/binary"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// Entry is what a frame says of one counter: a Report, or a State if that is not
// nil.
type Entry struct {
	share.ID
	Report *share.Report
	State  *share.State
}

// Route is from whom a frame is that goes by way of another, and for whom, by their
// hashes.
type Route struct{ From, To uint64 }

// RouteOf returns the Route between two nodes.
func RouteOf(from, to limit.NodeID) Route { return Route{ring.Hash(from), ring.Hash(to)} }

// Header is what a frame begins with, and its route.
type Header struct {
	Settled   bool
	Life      uint64
	Seq, Tag  uint32
	Acks      bool // of counts: Ack and Mask say what has arrived
	Ack, Mask uint32
	Deaf      bool
	Route     Route // zero: none
}

// NewCounts, NewPage, NewPull and NewHello encode frames.
func NewCounts(h Header, entries ...Entry) []byte {
	return h.write(kindCounts, nil, entries)
}

func NewPage(h Header, number, index, pages uint32, entries ...Entry) []byte {
	var b []byte
	for _, v := range []uint32{number, index, pages} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return h.write(kindPage, b, entries)
}

func NewPull(h Header, number uint32) []byte {
	return h.write(kindPull, binary.BigEndian.AppendUint32(nil, number), nil)
}

func NewHello(h Header, seed Seed, name string) []byte {
	b := append(seed.Value[:], binary.BigEndian.AppendUint64(nil, uint64(seed.Born))...)
	return h.write(kindHello, append(b, name...), nil)
}

func (h Header) write(k kind, body []byte, entries []Entry) []byte {
	var w writer
	w.begin(k, h.Settled, h.Life, h.Tag)
	if h.Acks {
		w.acknowledge(receipt{h.Ack, h.Mask})
	}
	w.buf = append(w.buf, body...)
	for i := range entries {
		if e := &entries[i]; e.State != nil {
			w.state(&e.ID, e.State)
		} else {
			w.report(&e.ID, e.Report, 0)
		}
	}
	w.depart(0)
	if h.Deaf {
		w.deaf()
	}
	if h.Route != (Route{}) {
		w.routed(route{h.Route.From, h.Route.To})
	}
	return w.number(h.Seq)
}

// Decode returns what a frame says.
func Decode(b []byte) (h Header, entries []Entry, err error) {
	var f frame
	if err := f.decode(b); err != nil {
		return Header{}, nil, err
	}
	for i := range f.entries {
		e := &f.entries[i]
		if e.isState {
			entries = append(entries, Entry{ID: e.ID, State: &e.state})
		} else {
			entries = append(entries, Entry{ID: e.ID, Report: &e.report})
		}
	}
	h = Header{Settled: f.settled, Life: f.life, Seq: f.seq, Tag: f.tag, Deaf: f.deaf}
	if f.routed {
		h.Route = Route{f.route.from, f.route.to}
	}
	if f.acks {
		h.Acks, h.Ack, h.Mask = true, f.ack.last, f.ack.mask
	}
	return h, entries, nil
}

// Reencode decodes a frame and encodes it again.
func Reencode(b []byte) ([]byte, error) {
	var f frame
	if err := f.decode(b); err != nil {
		return nil, err
	}
	h, entries, _ := Decode(b)
	switch f.kind {
	case kindHello:
		return NewHello(h, f.seed, string(f.name)), nil
	case kindPull:
		return NewPull(h, f.number), nil
	case kindPage:
		return NewPage(h, f.number, f.index, f.pages, entries...), nil
	}
	return NewCounts(h, entries...), nil
}

// MaxEntry is the most that one entry takes on the wire, and MaxPages bounds a
// hand-over.
const (
	MaxEntry = maxEntrySize
	MaxPages = maxPages
)

// Receipt says which frames have arrived.
type Receipt struct{ r receipt }

// Note adds a frame, and Has says whether one is known to have arrived.
func (r *Receipt) Note(seq uint32)     { r.r.note(seq) }
func (r *Receipt) Has(seq uint32) bool { return r.r.has(seq) }

// OvertakenBy is how many later frames arrive before one counts as lost.
const OvertakenBy = overtakenBy

// LateAfter is how old one is then at least.
const LateAfter = lateAfter

// LostAfter is when it does without them.
const LostAfter = lostAfter

// Tag is what frames carry of a seed.
func (s Seed) Tag() uint32 { return s.tag() }

// Numbers is a set of peers by their number.
type Numbers struct{ n numbers }

// Add puts a number into the set, and Each hands over all and keeps those for which f
// says true.
func (s *Numbers) Add(number int32)                { s.n.add(number) }
func (s *Numbers) Each(f func(int32) (stays bool)) { s.n.each(f) }
