package policy

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// index finds the limits that may apply to an input without looking at the
// others. A limit is filed under one thing that must hold for it to apply: a
// value that its `when` requires, else a descriptor entry that it reads, else
// nothing.
type index struct {
	always  []int
	byValue []valueIndex
	byEntry map[string][]int // by the name of a descriptor entry
}

// valueIndex files limits under the values that one look-up must yield.
type valueIndex struct {
	lookup expression.Lookup
	limits map[string][]int
}

// add files the limit at a position; positions come in ascending order.
func (x *index) add(at int, l *CompiledLimit) {
	if r := requirement(l); r != nil {
		i := slices.IndexFunc(x.byValue, func(v valueIndex) bool { return v.lookup == r.Lookup })
		if i < 0 {
			i = len(x.byValue)
			x.byValue = append(x.byValue, valueIndex{r.Lookup, map[string][]int{}})
		}
		for _, value := range r.Values {
			x.byValue[i].limits[value] = append(x.byValue[i].limits[value], at)
		}
		return
	}
	if len(l.Reads.Entries) > 0 {
		if x.byEntry == nil {
			x.byEntry = map[string][]int{}
		}
		entry := l.Reads.Entries[0]
		x.byEntry[entry] = append(x.byEntry[entry], at)
		return
	}
	x.always = append(x.always, at)
}

// requirement returns the one with the fewest values among those of a limit's
// conditions.
func requirement(l *CompiledLimit) *expression.Requirement {
	var best *expression.Requirement
	for _, when := range l.When {
		if r := when.Requires(); r != nil && (best == nil || len(r.Values) < len(best.Values)) {
			best = r
		}
	}
	return best
}

// candidates appends the positions of the limits that may apply, in order.
func (x *index) candidates(in *expression.Input, out []int) []int {
	begin, sources := len(out), 0
	if len(x.always) > 0 {
		out, sources = append(out, x.always...), sources+1
	}
	for i := range x.byValue {
		if found := x.byValue[i].limits[x.byValue[i].lookup.Get(in)]; len(found) > 0 {
			out, sources = append(out, found...), sources+1
		}
	}
	if in.Descriptor != nil && len(x.byEntry) > 0 {
		for i := range in.Descriptor.Entries {
			key := in.Descriptor.Entries[i].Key
			if slices.ContainsFunc(in.Descriptor.Entries[:i], func(e request.Entry) bool { return e.Key == key }) {
				continue
			}
			if found := x.byEntry[key]; len(found) > 0 {
				out, sources = append(out, found...), sources+1
			}
		}
	}
	if sources > 1 {
		slices.Sort(out[begin:])
	}
	return out
}
