package load

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWorstWindowIsThatOfEveryStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 50).Draw(t, "at")) * time.Second
		})).Draw(t, "times")
		slices.Sort(times)
		length := time.Duration(rapid.IntRange(1, 20).Draw(t, "length")) * time.Second
		want := 0
		for _, from := range times {
			want = max(want, Within(times, from, from+length))
		}
		if got := WorstWindow(times, length); got != want {
			t.Errorf("WorstWindow(%v, %v) = %d, want %d", times, length, got, want)
		}
	})
}

func TestFarther(t *testing.T) {
	for _, tc := range []struct{ a, b, want float64 }{{0, 1, 1}, {1, 1.01, 1.01}, {.98, 1.01, .98}, {1.03, .96, .96}} {
		if got := Farther(tc.a, tc.b); got != tc.want {
			t.Errorf("Farther(%v, %v) = %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}
