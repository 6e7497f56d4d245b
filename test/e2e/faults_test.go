//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"time"
)

// away is how long what was stopped stays away: longer than enforcers remember what
// those whom they cannot reach said last.
const away = 12 * time.Second

// killEnforcer kills the program of an enforcer; its kubelet starts it again.
func killEnforcer(ctx context.Context, c *cluster) error {
	pods, err := c.pods(ctx, pool)
	if err != nil {
		return err
	}
	if err := killProcess(&pods[0], "enforcer"); err != nil {
		return err
	}
	if err := c.awaitReady(ctx, poolSize-1); err != nil {
		return err
	}
	return c.awaitSettled(ctx, poolSize)
}

// awaitReady waits until so many enforcers are ready, as the load knows it.
func (c *cluster) awaitReady(ctx context.Context, n int) error {
	_, err := eventually(ctx, fmt.Sprintf("%d enforcers ready", n), func() error {
		if got := c.ready.count(); got != n {
			return fmt.Errorf("%d are ready", got)
		}
		return nil
	})
	return err
}
