package assemble

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Policy returns the wire form of a resource, with the defaults of its pool, and
// those that its schema and its documentation promise.
func Policy(p *v1alpha1.RateLimitPolicy, defaults *v1alpha1.LimitDefaults) policy.Policy {
	out := policy.Policy{
		Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Generation: p.Generation,
		Domain: domainOf(p),
		Limits: make([]policy.Limit, len(p.Spec.Limits)),
	}
	for i := range p.Spec.Limits {
		out.Limits[i] = limitOf(&p.Spec.Limits[i], defaults)
	}
	return out
}

func domainOf(p *v1alpha1.RateLimitPolicy) string {
	if p.Spec.Domain != "" {
		return p.Spec.Domain
	}
	return p.Namespace + "." + p.Name
}

func limitOf(l *v1alpha1.Limit, defaults *v1alpha1.LimitDefaults) policy.Limit {
	out := policy.Limit{
		Name: l.Name, When: texts(l.When), Key: texts(l.Key),
		Algorithm: string(l.Algorithm), Rate: rateOf(l.Rate),
		Mode: string(defaults.ModeOf(l)), OnUnreachable: string(defaults.OnUnreachableOf(l)), FirstBurst: string(defaults.FirstBurstOf(l)),
	}
	if s := defaults.SharingOf(l); s != v1alpha1.SharingGossip {
		out.Sharing = string(s)
	}
	if out.Algorithm == "" {
		out.Algorithm = policy.TokenBucket
	}
	if l.Burst != nil {
		out.Burst = *l.Burst
	}
	if l.Cost != nil {
		out.Cost = string(*l.Cost)
	}
	for i := range l.Overrides {
		out.Overrides = append(out.Overrides, overrideOf(&l.Overrides[i]))
	}
	return out
}

func overrideOf(o *v1alpha1.Override) policy.Override {
	out := policy.Override{Key: texts(o.Key), Unlimited: o.Unlimited, Deny: o.Deny}
	if o.Rate != nil {
		rate := rateOf(*o.Rate)
		out.Rate = &rate
	}
	if o.Burst != nil {
		out.Burst = *o.Burst
	}
	return out
}

func rateOf(r v1alpha1.Rate) policy.Rate { return policy.Rate{Requests: r.Requests, Per: r.Per} }

func texts[T ~string](in []T) []string {
	var out []string
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}
