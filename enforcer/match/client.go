package match

import "github.com/sluice-dev/sluice/enforcer/policy"

// ForClient returns what Match would charge where a limit applies and its key
// yields the given parts, but for the cost, which is 0.
func ForClient(l *policy.CompiledLimit, seed Seed, parts []string) Charge {
	c := Charge{Quota: l.Quota, Meter: l.Meter, Descriptor: AllDescriptors, Limit: l.ID}
	if e, ok := l.Override(parts); ok {
		c.Quota, c.Meter, c.Deny, c.Unlimited = e.Quota, e.Meter, e.Deny, e.Unlimited
	}
	if !c.Deny && !c.Unlimited {
		h := hasher{seed: seed}
		c.Key = h.compute(l.ID, parts)
	}
	return c
}
