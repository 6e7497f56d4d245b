//go:build e2e

// Package e2e installs Sluice on a real cluster of three nodes, breaks one thing
// after another under load, and compares what is admitted with the limit. It is
// not part of `go test ./...`: `make e2e` starts the cluster and runs it.
package e2e

import "testing"

// The first steps are those of somebody who tries Sluice; the scenarios need what
// they leave behind, and the upgrade begins anew. `make e2e E2E='-test.run /kill'` runs
// only some of those.
func TestSluiceOnACluster(t *testing.T) {
	c := connect(t)
	r := &results{}
	defer r.print(t.Output())
	current := releaseOf(t, root+"/bin")
	c.install(t, r, current)
	c.firstLimited(t, r)
	t.Run("kubectl sluice", c.askAsUser)
	c.applyLimits(t)
	expect(t, "one enforcer keeps the count", "sluice keys exact per-client -n shop --key alice")
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { c.run(t, &s, r) })
	}
	t.Run("TLS", func(t *testing.T) { c.speakTLS(t, r) })
	t.Run("upgrade", func(t *testing.T) { c.upgrade(t, r, current) })
}
