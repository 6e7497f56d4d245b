package heap

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestFollowSetsWhatIsAnotherByMoreThanAPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wanted := []int64{100, 110, 90, 111, 99, 98}
		var set []int64
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(len(wanted))*lookEvery-lookEvery/2)
		defer cancel()
		looks := 0
		Follow(ctx, 10, func(live int64) int64 {
			if live < 0 {
				t.Errorf("%d bytes are in use", live)
			}
			looks++
			return wanted[looks-1]
		}, func(v int64) { set = append(set, v) })
		if want := []int64{100, 111, 98}; looks != len(wanted) || !slices.Equal(set, want) {
			t.Errorf("%d looks set %v, want %d and %v", looks, set, len(wanted), want)
		}
	})
}
