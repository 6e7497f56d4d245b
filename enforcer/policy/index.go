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
	byLookup []lookupIndex          // of what the request itself has
	byEntry  map[string]*entryIndex // by the name of a descriptor entry
}

// entryIndex files limits under one entry of a descriptor.
type entryIndex struct {
	any   []int       // those that need it, whatever its value
	value lookupIndex // those that require a value
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
	x := index{byEntry: map[string]*entryIndex{}}
	crowd := crowds{}
	for _, at := range positions {
		crowd.count(limits[at])
	}
	for _, at := range positions {
		l := limits[at]
		switch r := crowd.best(l); {
		case r != nil && r.Lookup.From == expression.DescriptorEntry:
			x.entry(r.Lookup.Name).value.file(at, r)
		case r != nil:
			x.lookup(r.Lookup).file(at, r)
		case len(l.Reads.Entries) > 0:
			e := x.entry(l.Reads.Entries[0])
			e.any = append(e.any, at)
		default:
			x.always = append(x.always, at)
		}
	}
	return x
}

func (x *index) entry(name string) *entryIndex {
	e := x.byEntry[name]
	if e == nil {
		e = &entryIndex{}
		x.byEntry[name] = e
	}
	return e
}

func (x *index) lookup(lookup expression.Lookup) *lookupIndex {
	i := slices.IndexFunc(x.byLookup, func(l lookupIndex) bool { return l.lookup == lookup })
	if i < 0 {
		i = len(x.byLookup)
		x.byLookup = append(x.byLookup, lookupIndex{lookup: lookup})
	}
	return &x.byLookup[i]
}

func (l *lookupIndex) file(at int, r *expression.Requirement) {
	if l.equal == nil {
		l.equal, l.prefix = map[string][]int{}, map[string][]int{}
	}
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

// candidates returns the positions of the limits that may apply, in order. They
// are in room, which grows, or in a list of the index: not to be changed.
func (x *index) candidates(in *expression.Input, room *[]int) []int {
	if len(x.byLookup) == 0 && (in.Descriptor == nil || len(x.byEntry) == 0) {
		return x.always
	}
	out := append((*room)[:0], x.always...)
	sources := min(len(x.always), 1)
	for i := range x.byLookup {
		out, sources = x.byLookup[i].find(x.byLookup[i].lookup.Get(in), out, sources)
	}
	if in.Descriptor != nil && len(x.byEntry) > 0 {
		out, sources = x.findEntries(in.Descriptor.Entries, out, sources)
	}
	if sources > 1 {
		slices.Sort(out)
	}
	*room = out
	return out
}

// findEntries appends the positions filed under the entries of a descriptor; of
// entries of one name the first counts.
func (x *index) findEntries(entries []request.Entry, out []int, sources int) ([]int, int) {
	for i := range entries {
		e := x.byEntry[entries[i].Key]
		if e == nil || i > 0 && hasKey(entries[:i], entries[i].Key) {
			continue
		}
		if len(e.any) > 0 {
			out, sources = append(out, e.any...), sources+1
		}
		if e.value.equal != nil {
			out, sources = e.value.find(entries[i].Value, out, sources)
		}
	}
	return out, sources
}

func hasKey(entries []request.Entry, key string) bool {
	for i := range entries {
		if entries[i].Key == key {
			return true
		}
	}
	return false
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
