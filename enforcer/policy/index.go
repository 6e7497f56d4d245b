package policy

import (
	"cmp"
	"slices"

	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// index finds the limits that may apply to an input without looking at the
// others. A limit is filed under one thing that must hold for it to apply: what
// its `when` requires of one look-up, else a descriptor entry that it reads, else
// nothing.
type index struct {
	always   []int
	byLookup []lookupIndex
	byEntry  map[string][]int // by the name of a descriptor entry
}

// lookupIndex files limits under what one look-up must yield.
type lookupIndex struct {
	lookup  expression.Lookup
	equal   map[string][]int
	prefix  map[string][]int
	lengths []int // of the keys of prefix, ascending, without repetition
}

// newIndex files the limits at the given positions, which are in ascending order.
func newIndex(limits []*CompiledLimit, positions []int) index {
	x := index{byEntry: map[string][]int{}}
	crowd := crowds{}
	for _, at := range positions {
		crowd.count(limits[at])
	}
	for _, at := range positions {
		l := limits[at]
		if r := crowd.best(l); r != nil {
			x.file(at, r)
		} else if len(l.Reads.Entries) > 0 {
			entry := l.Reads.Entries[0]
			x.byEntry[entry] = append(x.byEntry[entry], at)
		} else {
			x.always = append(x.always, at)
		}
	}
	return x
}

func (x *index) file(at int, r *expression.Requirement) {
	i := slices.IndexFunc(x.byLookup, func(l lookupIndex) bool { return l.lookup == r.Lookup })
	if i < 0 {
		i = len(x.byLookup)
		x.byLookup = append(x.byLookup, lookupIndex{lookup: r.Lookup, equal: map[string][]int{}, prefix: map[string][]int{}})
	}
	l := &x.byLookup[i]
	for _, value := range r.Values {
		if !r.Prefix {
			l.equal[value] = append(l.equal[value], at)
			continue
		}
		l.prefix[value] = append(l.prefix[value], at)
		if j, found := slices.BinarySearch(l.lengths, len(value)); !found {
			l.lengths = slices.Insert(l.lengths, j, len(value))
		}
	}
}

// crowds counts how many limits require the same: the fewer, the more an index
// gains by looking at that.
type crowds map[required]int

type required struct {
	lookup expression.Lookup
	value  string
	prefix bool
}

func (c crowds) count(l *CompiledLimit) {
	for _, r := range requirements(l) {
		for _, v := range r.Values {
			c[required{r.Lookup, v, r.Prefix}]++
		}
	}
}

// best returns the requirement of a limit that the fewest other limits share, of
// equals that of equality, or nil if the limit requires nothing.
func (c crowds) best(l *CompiledLimit) *expression.Requirement {
	all := requirements(l)
	if len(all) == 0 {
		return nil
	}
	crowd := func(r *expression.Requirement) (most int) {
		for _, v := range r.Values {
			most = max(most, c[required{r.Lookup, v, r.Prefix}])
		}
		return most
	}
	return slices.MinFunc(all, func(a, b *expression.Requirement) int {
		order := cmp.Compare(crowd(a), crowd(b))
		if order == 0 && a.Prefix != b.Prefix {
			if b.Prefix {
				return -1
			}
			return 1
		}
		return order
	})
}

func requirements(l *CompiledLimit) (all []*expression.Requirement) {
	for _, when := range l.When {
		requires := when.Requires()
		for i := range requires {
			all = append(all, &requires[i])
		}
	}
	return all
}

// candidates appends the positions of the limits that may apply, in order.
func (x *index) candidates(in *expression.Input, out []int) []int {
	begin := len(out)
	out = append(out, x.always...)
	sources := min(len(x.always), 1)
	for i := range x.byLookup {
		out, sources = x.byLookup[i].find(x.byLookup[i].lookup.Get(in), out, sources)
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

// find appends the positions filed under a text, and adds to sources how many
// lists they came from.
func (l *lookupIndex) find(text string, out []int, sources int) ([]int, int) {
	if found := l.equal[text]; len(found) > 0 {
		out, sources = append(out, found...), sources+1
	}
	for _, n := range l.lengths {
		if n > len(text) {
			break
		}
		if found := l.prefix[text[:n]]; len(found) > 0 {
			out, sources = append(out, found...), sources+1
		}
	}
	return out, sources
}
