package share

import "github.com/sluice-dev/sluice/enforcer/limit"

const (
	clipSlots = 32
	clipSlot  = 16 * limit.Millisecond
	clipTime  = (clipSlots - 1) * clipSlot // which they cover, the newest being unfinished

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
	c.slot[c.newest%clipSlots] = float32(rate * seconds(limit.Span(now)%clipSlot)) // its time is not over
	c.long = rate * clipLong
	c.total = c.long
}

// add notes tokens that had no room in the last span, evenly, when rate come in a
// second.
func (c *clips) add(tokens, rate float64, span limit.Span, now limit.Instant) {
	c.forward(now)
	span = max(1, span)
	for n, end := c.newest, now; n > c.newest-clipSlots && end > now.Add(-span); n-- {
		began := max(limit.Instant(n*int64(clipSlot)), now.Add(-span))
		c.slot[n%clipSlots] += float32(tokens * float64(end.Sub(began)) / float64(span))
		end = began
	}
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

// take gives back at most d tokens that had no room within the last age, when rate
// come in a second: of the oldest first, since who took later can be helped by later
// ones only.
func (c *clips) take(d, rate float64, age limit.Span, now limit.Instant) (back float64) {
	c.forward(now)
	if age > clipTime {
		// What came in before the slots helps those tokens only that were taken before
		// them as well: as many as if they had been taken evenly.
		older := c.long
		for _, s := range c.slot {
			older -= float64(s)
		}
		back = min(max(0, older), d*(1-float64(clipTime)/float64(age)))
		c.long -= back
		return back + c.take(d-back, rate, clipTime, now)
	}
	since := now.Add(-age)
	for n := max(slotOf(since), c.newest-clipSlots+1); n <= c.newest && back < d; n++ {
		s := &c.slot[n%clipSlots]
		part := min(float64(*s), d-back)
		if n == slotOf(since) { // but for what may have come in before
			part = min(part, max(0, float64(*s)-rate*seconds(since.Sub(limit.Instant(n*int64(clipSlot))))))
		}
		*s -= float32(part)
		back += part
	}
	c.long = max(0, c.long-back)
	return back
}
