// Package match answers which counters a request touches: it finds the limits
// of the domain that apply, evaluates their keys and costs, and hashes each key
// into the name of a counter.
package match

import (
	"encoding/binary"

	"github.com/dchest/siphash"

	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Seed keys the hash of all counters. It is shared by the enforcers of a pool, so
// that they agree on the keys, and secret, so that nobody can choose values whose
// keys collide.
type Seed [16]byte

// AllDescriptors is the Descriptor of a Charge that belongs to the request as a
// whole.
const AllDescriptors = -1

// Charge is one counter that a request touches, and how.
type Charge struct {
	// Quota is what the client is told of the limit that is charged.
	Quota *request.Quota

	// Meter is the position in Snapshot.Meters of how the counter counts, or
	// OwnMeter for a limit that the request brought along: Own then has it.
	Meter int
	Own   *request.OwnLimit

	// Key names the counter; it is zero where there is none: Deny and Unlimited.
	Key  limit.Key
	Cost limit.Amount

	// Descriptor is the position of the descriptor that the limit applies to, or
	// AllDescriptors.
	Descriptor int

	// Deny and Unlimited are overrides that need no counter. Limit then identifies
	// the limit they belong to.
	Deny, Unlimited bool
	Limit           uint64
}

// OwnMeter is the Meter of a Charge for a limit that the request brought along.
const OwnMeter = -1

// Matcher is the scratch space of one goroutine; its zero value is ready.
type Matcher struct {
	in        expression.Input
	positions []int
	parts     []string
	text      []byte
}

// Match appends to out what a request is charged, and returns how many
// expressions failed on it. The order is that of the policies' names and of
// their limits, first those that apply to the request as a whole, then by
// descriptor.
//
// A failed expression never lets a request escape: a condition counts as true, a
// part of a key as "", a cost as 1.
func (m *Matcher) Match(snap *policy.Snapshot, seed Seed, req *request.Request, out []Charge) ([]Charge, int) {
	domain := snap.Domain(req.Domain)
	if domain == nil {
		return out, 0
	}
	failed := 0
	in := &m.in
	*in = expression.Input{HTTP: req.HTTP}
	m.positions = domain.PerRequest(in, m.positions[:0])
	for _, at := range m.positions {
		out = m.apply(domain.Limits[at], seed, in, req.Cost, AllDescriptors, out, &failed)
	}
	for i := range req.Descriptors {
		d := &req.Descriptors[i]
		cost := req.Cost
		if d.HasCost {
			cost = d.Cost
		}
		if d.Own != nil {
			out = append(out, m.ownCharge(seed, req.Domain, d, cost, i))
			continue
		}
		in.Descriptor = d
		m.positions = domain.PerDescriptor(in, m.positions[:0])
		for _, at := range m.positions {
			out = m.apply(domain.Limits[at], seed, in, cost, i, out, &failed)
		}
	}
	return out, failed
}

// apply appends the charge of one limit, if it applies.
func (m *Matcher) apply(l *policy.CompiledLimit, seed Seed, in *expression.Input, cost limit.Amount, descriptor int, out []Charge, failed *int) []Charge {
	if l.Reads.HTTP && in.HTTP == nil || !hasEntries(in.Descriptor, l.Reads.Entries) {
		return out
	}
	for _, when := range l.When {
		holds, err := when.Eval(in)
		if err != nil {
			*failed++
		} else if !holds {
			return out
		}
	}
	m.parts = m.parts[:0]
	for _, key := range l.Key {
		part, err := key.Eval(in)
		if err != nil {
			*failed++
		}
		m.parts = append(m.parts, part)
	}
	c := Charge{Quota: l.Quota, Meter: l.Meter, Cost: cost, Descriptor: descriptor, Limit: l.ID}
	if l.Cost != nil {
		c.Cost = costOf(l.Cost, in, failed)
	}
	if e, ok := l.Override(m.parts); ok {
		c.Quota, c.Meter, c.Deny, c.Unlimited = e.Quota, e.Meter, e.Deny, e.Unlimited
	}
	if !c.Deny && !c.Unlimited {
		c.Key = m.hash(seed, l.ID, m.parts)
	}
	return append(out, c)
}

func costOf(cost *expression.Int, in *expression.Input, failed *int) limit.Amount {
	n, err := cost.Eval(in)
	if err != nil {
		*failed++
		return 1
	}
	return limit.Amount(max(0, n))
}

func hasEntries(d *request.Descriptor, names []string) bool {
	for _, name := range names {
		if d == nil {
			return false
		}
		if _, ok := d.Get(name); !ok {
			return false
		}
	}
	return true
}

// ownCharge charges a limit that the request brought along, on a counter of its
// own for the descriptor's entries.
func (m *Matcher) ownCharge(seed Seed, domain string, d *request.Descriptor, cost limit.Amount, at int) Charge {
	m.parts = append(m.parts[:0], domain)
	for _, e := range d.Entries {
		m.parts = append(m.parts, e.Key, e.Value)
	}
	return Charge{Quota: &d.Own.Quota, Meter: OwnMeter, Own: d.Own, Cost: cost, Descriptor: at, Key: m.hash(seed, ownLimits, m.parts)}
}

// ownLimits is hashed in place of a limit for the limits that requests bring
// along.
const ownLimits = 0

// hash names the counter of a limit for key parts.
func (m *Matcher) hash(seed Seed, id uint64, parts []string) limit.Key {
	m.text = encodeKey(m.text[:0], id, parts)
	hi, lo := siphash.Hash128(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:]), m.text)
	if hi|lo == 0 {
		lo = 1 // the zero Key is no key
	}
	return limit.Key{Hi: hi, Lo: lo}
}

// encodeKey appends the limit's identity and the parts, each after its length:
// two different lists never look the same.
func encodeKey(out []byte, id uint64, parts []string) []byte {
	out = binary.LittleEndian.AppendUint64(out, id)
	for _, p := range parts {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}
