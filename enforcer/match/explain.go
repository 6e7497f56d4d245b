package match

import (
	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Finding says of one limit whether it applies to a request, and why.
type Finding struct {
	Limit *policy.CompiledLimit

	// Descriptor is the position of the descriptor that the limit was tried
	// against, or AllDescriptors.
	Descriptor int

	// Missing is what the limit reads and the request does not have, as it is
	// written in expressions: such a limit does not apply, and its expressions have
	// no values.
	Missing []string

	// When has the value of every condition, Key that of every part of the key
	// where the limit applies.
	When []Value[bool]
	Key  []Value[string]

	// Charge is what Match would charge, but for the name of the counter; nil when
	// the limit does not apply. Its Quota is that of the override, where one matched.
	Charge *Charge

	// Override is the position of the override that matched, or -1, and Patterns its
	// key.
	Override int
	Patterns []string
}

// Value is what an expression yields for a request. Where it fails Err says why,
// and Value is what counts instead.
type Value[T any] struct {
	Source string
	Value  T
	Err    error
}

// Explain says of every limit of a domain whether it applies to a request: the
// Findings with a Charge are what Match returns, in its order. Limits that read
// a descriptor are tried against each one, and found once as missing it when the
// request has none. Descriptors that bring their own limit along are left out.
func Explain(domain *policy.Domain, req *request.Request) []Finding {
	var m Matcher
	var out []Finding
	each := func(perDescriptor bool, cost limit.Amount, descriptor int) {
		for _, l := range domain.Limits {
			if l.Reads.Descriptor == perDescriptor {
				out = append(out, m.explain(l, cost, descriptor))
			}
		}
	}
	m.in.HTTP = req.HTTP
	each(false, req.Cost, AllDescriptors)
	if len(req.Descriptors) == 0 {
		each(true, req.Cost, AllDescriptors)
	}
	for i := range req.Descriptors {
		d := &req.Descriptors[i]
		cost := req.Cost
		if d.HasCost {
			cost = d.Cost
		}
		if m.in.Descriptor = d; d.Own == nil {
			each(true, cost, i)
		}
	}
	return out
}

// explain finds out about one limit.
func (m *Matcher) explain(l *policy.CompiledLimit, cost limit.Amount, descriptor int) Finding {
	in := &m.in
	f := Finding{Limit: l, Descriptor: descriptor, Override: -1, Missing: missing(in, &l.Reads)}
	if len(f.Missing) > 0 {
		return f
	}
	for _, when := range l.When {
		holds, err := when.Eval(in)
		f.When = append(f.When, Value[bool]{when.Source(), holds || err != nil, err})
	}
	charges := m.apply(l, cost, descriptor, nil)
	if len(charges) == 0 {
		return f
	}
	f.Charge = &charges[0]
	f.Charge.Key = limit.Key{}
	for _, key := range l.Key {
		part, err := key.Eval(in)
		f.Key = append(f.Key, Value[string]{key.Source(), part, err})
	}
	f.Override, f.Patterns = l.OverrideAt(m.parts)
	return f
}

// missing names what is read and is not there.
func missing(in *expression.Input, reads *expression.Reads) (all []string) {
	if reads.HTTP && in.HTTP == nil {
		all = append(all, "request")
	}
	if reads.Descriptor && in.Descriptor == nil && len(reads.Entries) == 0 {
		all = append(all, "descriptor")
	}
	for _, name := range reads.Entries {
		if !hasEntries(in.Descriptor, []string{name}) {
			all = append(all, "descriptor['"+name+"']")
		}
	}
	return all
}
