package account

import (
	"unsafe"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Usage is what a limit did here. Counters are cumulative.
type Usage struct {
	Active   int64 // counters there are now, those known from peers included
	Admitted int64 // tokens
	Limited  int64 // tokens that were denied; by a shadow limit: would have been
}

func (u *Usage) add(o Usage) {
	u.Active += o.Active
	u.Admitted += o.Admitted
	u.Limited += o.Limited
}

func (u *Usage) count(admitted bool, cost limit.Amount) {
	n := int64(max(0, cost))
	if admitted {
		u.Admitted += n
	} else {
		u.Limited += n
	}
}

// usages is what one shard counted, by Ref, in groups that are made when they are
// needed: most of the rates of a long list of overrides are never met in most
// shards. A group is whole cache lines, so that no two shards write to one line.
type usages []*usageGroup

type usageGroup [8]Usage

const usageGroupSize = int(unsafe.Sizeof(usageGroup{}))

// of returns the usage of a meter, making room for it.
func (us *usages) of(ref Ref) *Usage {
	at := int(ref) / len(usageGroup{})
	if at < len(*us) {
		if g := (*us)[at]; g != nil {
			return &g[int(ref)%len(g)]
		}
	}
	return us.grow(ref)
}

func (us *usages) grow(ref Ref) *Usage {
	at := int(ref) / len(usageGroup{})
	if more := at + 1 - len(*us); more > 0 {
		*us = append(*us, make(usages, more)...)
	}
	g := new(usageGroup)
	(*us)[at] = g
	return &g[int(ref)%len(g)]
}

// peek returns the usage of a meter, or nil when nothing was counted.
func (us usages) peek(ref Ref) *Usage {
	at := int(ref) / len(usageGroup{})
	if at >= len(us) || us[at] == nil {
		return nil
	}
	return &us[at][int(ref)%len(us[at])]
}

// each calls f for every usage there is.
func (us usages) each(f func(ref Ref, u *Usage)) {
	for at, g := range us {
		if g == nil {
			continue
		}
		for i := range g {
			f(Ref(at*len(g)+i), &g[i])
		}
	}
}

// bytes is the memory of all that.
func (us usages) bytes() int64 {
	total := int64(cap(us)) * int64(unsafe.Sizeof((*usageGroup)(nil)))
	for _, g := range us {
		if g != nil {
			total += int64(usageGroupSize)
		}
	}
	return total
}
