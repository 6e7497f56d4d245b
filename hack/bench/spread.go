package main

import (
	"math/rand/v2"
	"time"
)

// spread says which of n pods takes a call of a client.
type spread func(r *rand.Rand, at time.Duration, client, n int) int

func uniform(r *rand.Rand, _ time.Duration, _, n int) int  { return r.IntN(n) }
func onePod(_ *rand.Rand, _ time.Duration, _, _ int) int   { return 0 }
func hopping(_ *rand.Rand, at time.Duration, _, n int) int { return int(at/time.Second) % n }
func threePods(r *rand.Rand, _ time.Duration, client, n int) int {
	return (client + r.IntN(min(3, n))) % n
}

// skewed gives pod i a part in proportion to 1/(i+1)^1.5: of three, 65, 23 and
// 12 %.
func skewed(r *rand.Rand, _ time.Duration, _, n int) int {
	weights := [...]float64{1, .3536, .1925, .125, .0894, .0680, .0540, .0442, .0370, .0316}
	all := weights[:min(n, len(weights))]
	total := 0.0
	for _, w := range all {
		total += w
	}
	at := r.Float64() * total
	for i, w := range all {
		if at -= w; at < 0 {
			return i
		}
	}
	return 0
}
