package ring

import (
	"cmp"
	"slices"
)

// deal is a Table in the making. Every member walks over all partitions in an
// order of its own, all of them in step. Who first comes to a partition owns it,
// unless it has enough; the next one after it who may is its successor.
//
// Without the bound this is rendezvous hashing, with the step at which a node
// comes by as its weight for a partition, but for some ln(Partitions) steps a
// partition instead of one for each node.
type deal struct {
	members []dealt // by zone and hash: who comes first at one step
	zones   []zone
	places  *[Partitions]place // of indices into members
	unowned int                // partitions without an owner
	seeking int                // partitions with an owner and without a successor
}

type dealt struct {
	Member
	hash uint64
	zone int // in zones
}

type zone struct {
	walkers []walker
	seeking int  // partitions that it owns without a successor: their sum is deal.seeking
	apart   bool // successors are in another zone
}

// walker is a member on its way.
type walker struct {
	member     int32
	room       int // how many partitions it may take yet
	a, b, c, d uint16
}

// newTable returns the Table of members of which each may own so many partitions;
// together they may own all.
func newTable(members []Member, room int) *Table {
	if !slices.ContainsFunc(members, func(m Member) bool { return !m.Down }) {
		return &Table{}
	}
	d := newDeal(members, room)
	step := 0
	for ; d.unowned > 0; step++ {
		for z := range d.zones {
			d.walk(z, step)
		}
	}
	d.dismiss()
	// Who may succeed comes by within one more round, and once more within
	// another where it is to own for one that is down.
	for end := step + 2*Partitions; d.seeking > 0 && step < end; step++ {
		for z := range d.zones {
			if d.sought(z) {
				d.walk(z, step)
			}
		}
	}
	return d.table()
}

func newDeal(members []Member, room int) *deal {
	d := &deal{places: new([Partitions]place), unowned: Partitions}
	for _, m := range members {
		d.members = append(d.members, dealt{Member: m, hash: Hash(m.Name)})
	}
	slices.SortFunc(d.members, func(a, b dealt) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.hash, b.hash), cmp.Compare(a.Name, b.Name))
	})
	for i := range d.members {
		m := &d.members[i]
		if i == 0 || m.Zone != d.members[i-1].Zone {
			d.zones = append(d.zones, zone{})
		}
		m.zone = len(d.zones) - 1
		z := &d.zones[m.zone]
		z.walkers = append(z.walkers, newWalker(int32(i), m.hash, room))
	}
	d.setApart()
	for i := range d.places {
		d.places[i] = place{-1, -1}
	}
	return d
}

// setApart finds of which zones the successors are elsewhere: where others have a
// member that answers, and a fifth of all members, down or not. The few of smaller
// ones would have to hold the copies of a whole pool.
func (d *deal) setApart() {
	up, upIn := 0, make([]int, len(d.zones))
	for _, m := range d.members {
		if !m.Down {
			up++
			upIn[m.zone]++
		}
	}
	for i := range d.zones {
		others := len(d.members) - len(d.zones[i].walkers)
		d.zones[i].apart = up > upIn[i] && 5*others >= len(d.members)
	}
}

// walk takes the walkers of a zone one step on.
func (d *deal) walk(z, step int) {
	walkers := d.zones[z].walkers
	for i := range walkers {
		w := &walkers[i]
		p := &d.places[w.at(uint16(step))]
		switch {
		case p.owner < 0:
			if w.room > 0 {
				w.room--
				d.unowned--
				d.own(p, w.member)
			}
		case p.successor >= 0 || !d.maySucceed(w.member, p.owner):
		case d.members[p.owner].Down: // this one holds the copy, and goes on from there
			d.settle(p)
			d.own(p, w.member)
		default:
			d.settle(p)
			p.successor = w.member
		}
	}
}

// own makes a member the owner of a partition, and has a successor sought.
func (d *deal) own(p *place, member int32) {
	p.owner = member
	d.seeking++
	d.zones[d.members[member].zone].seeking++
}

// settle ends the search for a successor of the owner.
func (d *deal) settle(p *place) {
	d.seeking--
	d.zones[d.members[p.owner].zone].seeking--
}

func (d *deal) maySucceed(member, owner int32) bool {
	m, from := &d.members[member], d.members[owner].zone
	return member != owner && !m.Down && (m.zone != from || !d.zones[from].apart)
}

// dismiss sends those home who only kept their places.
func (d *deal) dismiss() {
	for i := range d.zones {
		z := &d.zones[i]
		z.walkers = slices.DeleteFunc(z.walkers, func(w walker) bool { return d.members[w.member].Down })
	}
}

// sought says whether a successor may be found in a zone, once all partitions have
// owners: the many of one zone need not walk on while the few of another do.
func (d *deal) sought(z int) bool {
	own := &d.zones[z]
	return d.seeking > own.seeking || !own.apart && own.seeking > 0
}

// table returns the result, with the numbers of members for indices.
func (d *deal) table() *Table {
	for i := range d.places {
		p := &d.places[i]
		p.owner = d.members[p.owner].Number
		if p.successor >= 0 {
			p.successor = d.members[p.successor].Number
		}
	}
	return &Table{d.places}
}

func newWalker(member int32, hash uint64, room int) walker {
	return walker{member, room, uint16(hash) | 1, uint16(hash >> 16), uint16(hash>>32) | 1, uint16(hash >> 48)}
}

// at returns the partition that a walker comes to at a step. In Partitions steps
// it comes to each once: every operation can be undone.
func (w *walker) at(step uint16) uint16 {
	x := step*w.a + w.b
	x ^= x >> 8
	x = x*w.c + w.d
	return x ^ x>>8
}
