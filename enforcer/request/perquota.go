package request

// maxPerQuota bounds what a PerQuota remembers: the quotas of one front end that are
// asked for again and again are few, and those that a caller brings along are new
// each time.
const maxPerQuota = 256

// PerQuota remembers what a front end makes of a quota, which is immutable. Its zero
// value is ready for use; it is not safe for concurrent use.
type PerQuota[T any] struct{ known map[*Quota]T }

// Of returns what of makes of q.
func (p *PerQuota[T]) Of(q *Quota, of func(*Quota) T) T {
	made, ok := p.known[q]
	if ok {
		return made
	}
	if p.known == nil || len(p.known) >= maxPerQuota {
		p.known = map[*Quota]T{}
	}
	made = of(q)
	p.known[q] = made
	return made
}
