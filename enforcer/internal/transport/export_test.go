package transport

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
)

// Lists drives a resolver without a socket.
type Lists struct {
	t *testing.T
	r *resolver
}

// RunResolver starts a resolver that stops with the test.
func RunResolver(t *testing.T, lookup func(context.Context, string) ([]netip.Addr, error), local netip.Addr, log *slog.Logger) Lists {
	r := newResolver(lookup, local, log)
	go r.run(t.Context())
	return Lists{t, r}
}

func (l Lists) Set(peers ...string) { l.r.set(peers) }

// Want waits for the next resolved list.
func (l Lists) Want(want ...string) {
	l.t.Helper()
	var got []string
	for _, e := range <-l.r.resolved {
		if !e.address.IsValid() {
			e.name += " without address"
		}
		got = append(got, e.name)
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("peers %v, want %v", got, want)
	}
}
