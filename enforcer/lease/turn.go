package lease

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// turn has an owner's own requests take no more than their part while all nodes ask for
// more than comes in. Others ask now and then only: whoever is at the owner would have it
// all by then.
type turn struct {
	credit   float64 // tokens that are due
	at       limit.Instant
	others   float64 // tokens a second that other nodes are asked for
	othersAt limit.Instant
}

// scarce says whether all ask for more than comes in, and no more is left than what came in
// since others asked. Into a window nothing comes.
func (b *book) scarce(now limit.Instant, left limit.Amount, all float64) bool {
	since := max(2, tokens(perSecond(b.params), askEvery(b.params)))
	return b.params.Algorithm() == decide.Bucket && !b.sufficient(now, all) && float64(left) < min(since, float64(b.params.Burst())/2)
}

// part returns how many of the tokens that come in a second are for who is asked for demand
// of what all are asked for.
func (b *book) part(demand, all float64) float64 { return perSecond(b.params) * demand / all }

// turns says whether a request at the owner may have tokens of those that are left.
func (b *book) turns(now limit.Instant, left, cost limit.Amount) bool {
	t, here := &b.turn, b.here.rate(now)
	if now.Sub(t.othersAt) >= limit.Millisecond { // not for each request: there may be many accounts
		t.others, t.othersAt = b.elsewhere(now), now
	}
	all := here + t.others
	if t.others == 0 || !b.scarce(now, left, all) {
		return true
	}
	part := b.part(here, all)
	t.credit = min(t.credit+tokens(part, now.Sub(t.at)), max(1, float64(cost), tokens(part, 2*askEvery(b.params))))
	t.at = now
	if t.credit < float64(cost) {
		return false
	}
	t.credit -= float64(cost)
	return true
}
