package gossip_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/gossip"
)

// A set of numbers hands over what was added and not removed since, the least first,
// also when numbers are added meanwhile.
func TestASetOfNumbers(t *testing.T) {
	numbers := rapid.Int32Range(1, 1000)
	rapid.Check(t, func(t *rapid.T) {
		var s gossip.Numbers
		has := map[int32]bool{}
		for range rapid.IntRange(1, 10).Draw(t, "rounds") {
			for _, number := range rapid.SliceOf(numbers).Draw(t, "added") {
				s.Add(number)
				has[number] = true
			}
			want := slices.Sorted(maps.Keys(has))
			var got []int32
			s.Each(func(number int32) bool {
				got = append(got, number)
				s.Add(number) // it is under way again, which its answer has to say
				if !rapid.Bool().Draw(t, "stays") {
					delete(has, number)
				}
				return has[number]
			})
			if !slices.Equal(got, want) {
				t.Fatalf("handed over %v, want %v", got, want)
			}
		}
	})
}
