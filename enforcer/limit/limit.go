// Package limit holds the words that the rest of the enforcer is written in:
// points in time, lengths of time, amounts of tokens, keys and nodes. Its
// arithmetic saturates: a result that does not fit becomes the nearest value
// that does, so no input can wrap a limit around.
package limit

import (
	"encoding/hex"
	"math"
	"math/bits"
	"time"
)

// Instant is a point in time: nanoseconds since 1970-01-01T00:00:00Z, up to the
// year 2262. The zero value is that epoch. The core never reads a clock: every
// Instant is handed in by a driver, and two of them that come from one driver
// never run backwards by more than its clock was stepped.
type Instant int64

// Span is a length of time in nanoseconds. The zero value is no time at all;
// a negative Span points to the past.
type Span int64

// The spans that rates and tests are written in.
const (
	Millisecond = Span(time.Millisecond)
	Second      = Span(time.Second)
	Minute      = Span(time.Minute)
	Hour        = Span(time.Hour)
	Day         = 24 * Hour
	Forever     = Span(math.MaxInt64)
)

// Never is the last Instant there is: what happens then does not happen.
const Never = Instant(math.MaxInt64)

// Add returns the Instant d after t, saturating.
func (t Instant) Add(d Span) Instant { return Instant(add(int64(t), int64(d))) }

// Sub returns the Span from u to t, saturating.
func (t Instant) Sub(u Instant) Span { return Span(sub(int64(t), int64(u))) }

// Time returns t as a time.Time in UTC.
func (t Instant) Time() time.Time { return time.Unix(0, int64(t)).UTC() }

// InstantOf returns the Instant of a time.Time; times outside the range of
// Instant saturate.
func InstantOf(t time.Time) Instant {
	switch {
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return Never
	}
	return Instant(t.UnixNano())
}

// Duration returns d as a time.Duration; both count nanoseconds.
func (d Span) Duration() time.Duration { return time.Duration(d) }

// CeilSeconds returns the whole seconds that cover d, and 0 for a negative d:
// the form that Retry-After and RateLimit fields need.
func (d Span) CeilSeconds() int64 {
	if d <= 0 {
		return 0
	}
	return int64((d-1)/Second) + 1
}

// Amount is a number of tokens. One request costs one token unless its limit or
// the caller says otherwise. A negative Amount gives tokens back, or is a debt.
type Amount int64

// MaxAmount is the largest Amount; as a remaining quota it means "unlimited".
const MaxAmount = Amount(math.MaxInt64)

// Add returns a+b, saturating.
func (a Amount) Add(b Amount) Amount { return Amount(add(int64(a), int64(b))) }

// Sub returns a-b, saturating.
func (a Amount) Sub(b Amount) Amount { return Amount(sub(int64(a), int64(b))) }

// NodeID names one enforcer within its pool: the pod's name in Kubernetes, the
// --node-name elsewhere. It is not empty in a running enforcer.
type NodeID string

// Key identifies one counter: the keyed hash of a limit and of the values of its
// key expressions. The zero Key is no counter's key.
type Key struct{ Hi, Lo uint64 }

// IsZero says whether k is no key at all.
func (k Key) IsZero() bool { return k == Key{} }

// Less orders keys; locks that are taken together are taken in this order.
func (k Key) Less(o Key) bool {
	_, borrow := bits.Sub64(k.Lo, o.Lo, 0)
	_, borrow = bits.Sub64(k.Hi, o.Hi, borrow)
	return borrow == 1
}

// String returns k in hexadecimal, most significant digit first.
func (k Key) String() string {
	var b [16]byte
	for i := range 8 {
		b[i] = byte(k.Hi >> (56 - 8*i))
		b[8+i] = byte(k.Lo >> (56 - 8*i))
	}
	return hex.EncodeToString(b[:])
}

func add(a, b int64) int64 {
	c := a + b
	switch {
	case a > 0 && b > 0 && c < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && c >= 0:
		return math.MinInt64
	}
	return c
}

func sub(a, b int64) int64 {
	c := a - b
	switch {
	case a >= 0 && b < 0 && c < 0:
		return math.MaxInt64
	case a < 0 && b > 0 && c >= 0:
		return math.MinInt64
	}
	return c
}
