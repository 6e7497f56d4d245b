package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/transport"
)

func TestNamesAreResolvedAgain(t *testing.T) {
	// The bubble owns the time between two look-ups; no socket is involved.
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Pointer[[]netip.Addr] // nil: the resolver is away
		lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
			if found := answer.Load(); found != nil && host == "pod-1.sluice" {
				return *found, nil
			}
			return nil, errors.New("no such host")
		}
		var log bytes.Buffer
		lists := transport.RunResolver(t, lookup, netip.MustParseAddr("10.0.0.9"), slog.New(slog.NewTextHandler(&log, nil)))

		lists.Set("pod-1.sluice:7946", "10.0.0.1:7946", "[::ffff:10.0.0.2]:7946")
		lists.Want("pod-1.sluice:7946 without address", "10.0.0.1:7946", "10.0.0.2:7946")

		answer.Store(&[]netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")})
		lists.Want("10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.5:7946")

		answer.Store(&[]netip.Addr{netip.MustParseAddr("10.0.0.6")})
		lists.Want("10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.6:7946")

		answer.Store(nil)
		<-time.After(time.Hour) // a resolver that is away changes nothing
		lists.Set("pod-1.sluice:7946")
		lists.Want("10.0.0.6:7946")

		lists.Set()
		lists.Want()
		if got := strings.Count(log.String(), "cannot resolve"); got != 2 {
			t.Errorf("%d complaints, want one each time that it began to fail:\n%s", got, log.String())
		}
	})
}

func TestOnlyReachableFamiliesAreUsed(t *testing.T) {
	both := []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")}
	lookup := func(context.Context, string) ([]netip.Addr, error) { return both, nil }
	for _, c := range []struct {
		local string
		want  []string
	}{
		{"127.0.0.1", []string{"10.0.0.5:1"}},
		{"0.0.0.0", []string{"10.0.0.5:1"}},
		{"::1", []string{"[fd00::5]:1"}},
		{"::", []string{"10.0.0.5:1", "[fd00::5]:1"}},
	} {
		t.Run(fmt.Sprintf("a socket bound to %s", c.local), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lists := transport.RunResolver(t, lookup, netip.MustParseAddr(c.local), slog.New(slog.DiscardHandler))
				lists.Set("name:1")
				lists.Want(c.want...)
			})
		})
	}
}
