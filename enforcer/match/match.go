// Package match answers which counters a request touches: it finds the limits
// of the domain that apply, evaluates their keys and costs, and hashes each key
// into the name of a counter.
package match

import (
	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

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

// Matcher is the scratch space of one goroutine; its zero value is ready, and is
// not to be copied once it has been used.
type Matcher struct {
	in        expression.Input
	positions []int
	parts     []string
	keys      hasher
	failed    int

	// room is where the slices begin.
	room struct {
		positions [16]int
		parts     [policy.MaxKey]string
		text      [128]byte
	}
}

// Match appends to out what the limits of a domain charge a request, and returns
// how many expressions failed on it. The order is that of the policies' names and
// of their limits, first those that apply to the request as a whole, then by
// descriptor.
//
// A failed expression never lets a request escape: a condition counts as true, a
// part of a key as "", a cost as 1.
func (m *Matcher) Match(domain *policy.Domain, seed Seed, req *request.Request, out []Charge) ([]Charge, int) {
	if m.parts == nil {
		m.positions, m.parts, m.keys.text = m.room.positions[:0], m.room.parts[:0], m.room.text[:0]
	}
	m.failed = 0
	m.keys.begin(seed)
	in := &m.in
	in.HTTP, in.Descriptor = req.HTTP, nil
	for _, at := range domain.PerRequest(in, &m.positions) {
		out = m.apply(domain.Limits[at], req.Cost, AllDescriptors, out)
	}
	for i := range req.Descriptors {
		d := &req.Descriptors[i]
		cost := req.Cost
		if d.HasCost {
			cost = d.Cost
		}
		if d.Own != nil {
			out = m.applyOwn(req.Domain, d, cost, i, out)
			continue
		}
		in.Descriptor = d
		for _, at := range domain.PerDescriptor(in, &m.positions) {
			out = m.apply(domain.Limits[at], cost, i, out)
		}
	}
	in.HTTP, in.Descriptor = nil, nil // the request is the caller's
	return out, m.failed
}

// apply appends the charge of one limit to out, if it applies.
func (m *Matcher) apply(l *policy.CompiledLimit, cost limit.Amount, descriptor int, out []Charge) []Charge {
	in := &m.in
	if l.Reads.HTTP && in.HTTP == nil || !hasEntries(in.Descriptor, l.Reads.Entries) {
		return out
	}
	for _, when := range l.When {
		holds, err := when.Eval(in)
		if err != nil {
			m.failed++
		} else if !holds {
			return out
		}
	}
	m.parts = m.parts[:0]
	for _, key := range l.Key {
		part, err := key.Eval(in)
		if err != nil {
			m.failed++
		}
		m.parts = append(m.parts, part)
	}
	if l.Cost != nil {
		cost = m.costOf(l.Cost)
	}
	// Field by field: a literal would be made elsewhere and copied.
	out, c := next(out)
	c.Quota, c.Meter, c.Own = l.Quota, l.Meter, nil
	c.Cost, c.Descriptor, c.Limit = cost, descriptor, l.ID
	c.Deny, c.Unlimited = false, false
	if e, ok := l.Override(m.parts); ok {
		c.Quota, c.Meter, c.Deny, c.Unlimited = e.Quota, e.Meter, e.Deny, e.Unlimited
	}
	if c.Deny || c.Unlimited {
		c.Key = limit.Key{}
	} else {
		c.Key = m.keys.hash(l.ID, m.parts)
	}
	return out
}

// next makes room for one more charge, of which every field is to be set: what
// is there may be of an earlier request.
func next(out []Charge) ([]Charge, *Charge) {
	if len(out) == cap(out) {
		out = append(out, Charge{})
	} else {
		out = out[:len(out)+1]
	}
	return out, &out[len(out)-1]
}

func (m *Matcher) costOf(cost *expression.Int) limit.Amount {
	n, err := cost.Eval(&m.in)
	if err != nil {
		m.failed++
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

// applyOwn appends the charge of a limit that the request brought along, on a
// counter of its own for the descriptor's entries.
func (m *Matcher) applyOwn(domain string, d *request.Descriptor, cost limit.Amount, at int, out []Charge) []Charge {
	m.parts = append(m.parts[:0], domain)
	for i := range d.Entries {
		m.parts = append(m.parts, d.Entries[i].Key, d.Entries[i].Value)
	}
	out, c := next(out)
	*c = Charge{Quota: &d.Own.Quota, Meter: OwnMeter, Own: d.Own, Cost: cost, Descriptor: at, Key: m.keys.hash(ownLimits, m.parts)}
	return out
}
