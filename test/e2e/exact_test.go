//go:build e2e

package e2e

import (
	"math"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/load"
)

// exact is a second load beside the first: clients of a small limit that is shared
// exactly, so many that each enforcer keeps the counts of some.
var exact = traffic{domain: "exact", clients: 12, limit: load.Limit{PerSecond: 10, Burst: 10}, factor: 5}

// exactPolicy is the policy of those. LocalShare is what they have by default where the
// enforcer that keeps a count cannot be reached.
const exactPolicy = `
---
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: exact, namespace: shop}
spec:
  domain: exact
  limits:
  - name: per-client
    key: ["descriptor['client']"]
    rate: {requests: 10, per: 1s}
    burst: 10
    sharing: Exact
`

// exactGoal is what is to come of it: what is admitted, at least and at most, as parts of
// what one exact limiter admits, and how many calls of a client at most that no exact limiter
// can have admitted.
type exactGoal struct{ atLeast, atMost, beyond float64 }

var (
	toTheRequest = exactGoal{atLeast: .98, atMost: 1}

	// ownerLost is for the half second without what must be asked for, and the second
	// and a half in which those who are left take their shares. What was admitted in the last
	// 50 ms may be in no copy.
	ownerLost = exactGoal{atLeast: .95, atMost: 1, beyond: math.Ceil(.05 * exact.limit.PerSecond)}

	// ownShare is for an enforcer that is cut off: beside the others it admits its share of the
	// rate, and of a burst, until some seconds after. For a second it goes on with what it owned.
	ownShare = exactGoal{
		atLeast: .95, atMost: 1 + 1./poolSize,
		beyond: math.Floor((away+5*time.Second).Seconds()*exact.limit.PerSecond/poolSize) + float64(exact.limit.Burst),
	}
)

// addExact adds the figures of what is shared exactly, from a time on.
func (f *figures) addExact(o *load.Offered, from, to time.Duration) {
	admitted, best := o.Admissions(exact.clients), o.Exact(exact.limit, exact.clients)
	f.exact = total(admitted, from, to) / total(best, from, to)
	f.beyond = float64(slices.Max(o.Beyond(exact.limit, exact.clients)))
}
