package limit_test

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

func TestArithmeticSaturates(t *testing.T) {
	clamp := func(x *big.Int) int64 {
		switch {
		case x.Cmp(big.NewInt(math.MaxInt64)) > 0:
			return math.MaxInt64
		case x.Cmp(big.NewInt(math.MinInt64)) < 0:
			return math.MinInt64
		}
		return x.Int64()
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		sum := clamp(new(big.Int).Add(big.NewInt(a), big.NewInt(b)))
		diff := clamp(new(big.Int).Sub(big.NewInt(a), big.NewInt(b)))
		if got := limit.Amount(a).Add(limit.Amount(b)); got != limit.Amount(sum) {
			t.Errorf("Amount(%d).Add(%d) = %d, want %d", a, b, got, sum)
		}
		if got := limit.Amount(a).Sub(limit.Amount(b)); got != limit.Amount(diff) {
			t.Errorf("Amount(%d).Sub(%d) = %d, want %d", a, b, got, diff)
		}
		if got := limit.Instant(a).Add(limit.Span(b)); got != limit.Instant(sum) {
			t.Errorf("Instant(%d).Add(%d) = %d, want %d", a, b, got, sum)
		}
		if got := limit.Instant(a).Sub(limit.Instant(b)); got != limit.Span(diff) {
			t.Errorf("Instant(%d).Sub(%d) = %d, want %d", a, b, got, diff)
		}
	})
}

func TestCeilSeconds(t *testing.T) {
	for _, c := range []struct {
		span limit.Span
		want int64
	}{
		{-limit.Second, 0},
		{0, 0},
		{1, 1},
		{limit.Second, 1},
		{limit.Second + 1, 2},
		{limit.Forever, 9223372037},
	} {
		if got := c.span.CeilSeconds(); got != c.want {
			t.Errorf("Span(%d).CeilSeconds() = %d, want %d", c.span, got, c.want)
		}
	}
}

func TestInstantOf(t *testing.T) {
	now := time.Date(2026, 2, 28, 23, 59, 59, 999999999, time.UTC)
	if got := limit.InstantOf(now).Time(); !got.Equal(now) {
		t.Errorf("InstantOf(%v).Time() = %v, want the same", now, got)
	}
	if got := limit.InstantOf(time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)); got != limit.Never {
		t.Errorf("InstantOf(year 3000) = %d, want Never", got)
	}
	if got := limit.InstantOf(time.Time{}); got != math.MinInt64 {
		t.Errorf("InstantOf(year 1) = %d, want the earliest Instant", got)
	}
}

func TestKeyOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b limit.Key
		want bool
	}{
		{"high part decides", limit.Key{Hi: 1, Lo: 9}, limit.Key{Hi: 2, Lo: 0}, true},
		{"low part breaks the tie", limit.Key{Hi: 1, Lo: 1}, limit.Key{Hi: 1, Lo: 2}, true},
		{"equal keys are not less", limit.Key{Hi: 1, Lo: 1}, limit.Key{Hi: 1, Lo: 1}, false},
		{"greater", limit.Key{Hi: 2, Lo: 0}, limit.Key{Hi: 1, Lo: 9}, false},
	} {
		if got := c.a.Less(c.b); got != c.want {
			t.Errorf("%s: %v.Less(%v) = %v, want %v", c.name, c.a, c.b, got, c.want)
		}
	}
	if got := (limit.Key{Hi: 0x0102030405060708, Lo: 0xf}).String(); got != "0102030405060708000000000000000f" {
		t.Errorf("String() = %q", got)
	}
}
