package share

import "github.com/sluice-dev/sluice/enforcer/limit"

const (
	clipSlots = 32
	clipSlot  = 16 * limit.Millisecond

	// clipLong is for how many seconds what came in and had no room is remembered
	// in one sum, to make good for tokens that are reported after an outage.
	clipLong = 30
)

// clips remembers how many tokens came in while there was no room for them, and
// when. Tokens that were taken at that time and are reported late would have made
// the room: they are refunded from those, each of which is given back once.
type clips struct {
	slot   [clipSlots]float32 // of the last half second, by time
	newest int64              // number of the newest slot
	long   float64            // of the last clipLong seconds, those in slots included
	total  float64            // ever
}

func slotOf(t limit.Instant) int64 { return int64(t) / int64(clipSlot) }

// always makes c what it is when a counter was full for long.
func (c *clips) always(rate float64, now limit.Instant) {
	c.newest = slotOf(now)
	for i := range c.slot {
		c.slot[i] = float32(rate * seconds(clipSlot))
	}
	c.long = rate * clipLong
	c.total = c.long
}

// add notes tokens that had no room just now, when rate come in a second.
func (c *clips) add(tokens, rate float64, now limit.Instant) {
	c.forward(now)
	c.slot[c.newest%clipSlots] += float32(tokens)
	c.long = min(c.long+tokens, clipLong*rate)
	c.total += tokens
}

func (c *clips) forward(now limit.Instant) {
	n := slotOf(now)
	for range min(max(0, n-c.newest), clipSlots) {
		c.newest++
		c.slot[c.newest%clipSlots] = 0
	}
	c.newest = max(c.newest, n)
}

// take gives back at most d tokens that had no room within the last age: of the
// oldest first, since who took later can be helped by later ones only.
func (c *clips) take(d float64, age limit.Span, now limit.Instant) (back float64) {
	c.forward(now)
	if age > clipSlots*clipSlot {
		back = min(d, c.long)
		c.long -= back
		return back
	}
	for n := max(slotOf(now.Add(-age)), c.newest-clipSlots+1); n <= c.newest && back < d; n++ {
		s := &c.slot[n%clipSlots]
		part := min(float64(*s), d-back)
		*s -= float32(part)
		back += part
	}
	c.long = max(0, c.long-back)
	return back
}
