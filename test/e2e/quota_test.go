//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/sluice-dev/sluice/internal/load"
)

// Beside the load each client has a quota that does not refill while a test lasts. It
// uses most of it before something happens, and asks for more than the rest afterwards:
// whether a counter was reset, or kept twice, is told to the token, however busy the
// machine is.
const (
	quota       = 50
	spentBefore = 40
	askedAfter  = 30
)

// quotaPolicy is the policy of those.
const quotaPolicy = `
---
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: quota, namespace: shop}
spec:
  domain: quota
  limits:
  - name: per-client
    key: ["descriptor['client']"]
    rate: {requests: 50, per: 24h}
    burst: 50
`

// spend has each client of a scenario make so many requests, and counts those that
// were admitted into used. They are so slow that word of one is there before the next.
func (c *cluster) spend(ctx context.Context, scenario string, requests int, used *[clients]int) error {
	r := rand.New(rand.NewPCG(3, 4))
	for range requests {
		for i := range clients {
			var got rlsv3.RateLimitResponse
			if ok, err := load.Ask(ctx, c.ready.pick(r, 0, 0), load.Call("quota", clientName(scenario, i)), &got); err == nil && ok {
				used[i]++
			}
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func clientName(scenario string, i int) string { return fmt.Sprintf("%s %d", scenario, i) }

// farthest returns what the client that is farthest off used of its quota.
func farthest(used [clients]int) (part float64) {
	for _, n := range used {
		part = load.Farther(part, float64(n)/quota)
	}
	return part
}
