// Package assemble makes the document of a pool out of RateLimitPolicy
// resources: it checks every policy, settles who owns which domain, and keeps the
// last good version of a policy whose new one is faulty. The manager and the
// standalone enforcer both use it, so the same YAML means the same in both.
package assemble

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Input is what a document is made of.
type Input struct {
	// Pool is the pool's name.
	Pool string

	// Policies are those that name this pool.
	Policies []v1alpha1.RateLimitPolicy

	// Barred has the namespaces whose policies may not use the pool, each with what
	// their authors are told.
	Barred map[string]string

	// Defaults are the pool's own for limits that leave a field out; nil: none.
	Defaults *v1alpha1.LimitDefaults

	// Previous is the document in force, or nil: of a policy whose new version is
	// refused the version in it stays, unless its domain went to somebody else.
	Previous *policy.Document

	// Cache remembers policies that have not changed; nil makes and checks all.
	Cache *Cache
}

// Result is a document, and what became of each policy.
type Result struct {
	Document *policy.Document
	Outcomes map[types.NamespacedName]Outcome
}

// Outcome is what became of one policy.
type Outcome struct {
	// Reason is one of v1alpha1.ReasonAccepted, ReasonInvalid, ReasonDomainConflict
	// and ReasonNotAllowedByPool.
	Reason string

	// Message explains the reason to the policy's author.
	Message string

	// Domain is the one that the policy has or asks for.
	Domain string

	// InForce is the generation of the policy in the document, 0 if it has none.
	InForce int64
}

// Accepted says whether this generation of the policy is in the document.
func (o Outcome) Accepted() bool { return o.Reason == v1alpha1.ReasonAccepted }

// candidate is a policy on its way into the document.
type candidate struct {
	name    types.NamespacedName
	created time.Time
	version *policy.Policy // the new one, or the last good one, or nil
	last    *policy.Policy // the last good one, or nil
	outcome Outcome
}

// Document assembles the document of a pool. It depends on its input only.
func Document(in Input) Result {
	candidates := make([]*candidate, 0, len(in.Policies))
	previous := byName(in.Previous)
	for i := range in.Policies {
		p := &in.Policies[i]
		if why, barred := in.Barred[p.Namespace]; barred {
			candidates = append(candidates, refused(p, why))
		} else {
			candidates = append(candidates, in.check(p, previous))
		}
	}
	in.Cache.sweep()
	settleDomains(candidates)

	policies, outcomes := make([]policy.Policy, 0, len(candidates)), make(map[types.NamespacedName]Outcome, len(candidates))
	for _, c := range candidates {
		if c.version != nil {
			c.outcome.InForce = c.version.Generation
			policies = append(policies, *c.version)
			if !c.outcome.Accepted() {
				c.outcome.Message = fmt.Sprintf("%s; generation %d stays in force", c.outcome.Message, c.version.Generation)
			}
		}
		outcomes[c.name] = c.outcome
	}
	return Result{policy.New(in.Pool, policies), outcomes}
}

// refused is a policy that may not use the pool: no version of it is enforced, and
// it has no claim to its domain.
func refused(p *v1alpha1.RateLimitPolicy, why string) *candidate {
	return &candidate{
		name:    types.NamespacedName{Namespace: p.Namespace, Name: p.Name},
		created: p.CreationTimestamp.Time,
		outcome: Outcome{Reason: v1alpha1.ReasonNotAllowedByPool, Message: why, Domain: domainOf(p)},
	}
}

// check finds the version of a policy that can be enforced.
func (in *Input) check(p *v1alpha1.RateLimitPolicy, previous map[types.NamespacedName]*policy.Policy) *candidate {
	name := types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
	next := in.Cache.policy(p, in.Defaults)
	c := &candidate{name: name, created: p.CreationTimestamp.Time, version: next}
	if last := previous[name]; last != nil && last.UID == next.UID && in.Cache.compile(last) == nil {
		c.last = last
	}
	c.outcome = Outcome{Reason: v1alpha1.ReasonAccepted, Message: "the policy is valid" + in.taken(p), Domain: next.Domain}
	if err := in.Cache.compile(next); err != nil {
		c.outcome.Reason, c.outcome.Message = v1alpha1.ReasonInvalid, explain(err)
		c.version = c.last
	}
	return c
}

// taken tells the author of a policy which defaults of the pool it takes, "" if none.
func (in *Input) taken(p *v1alpha1.RateLimitPolicy) string {
	d, limits := in.Defaults, p.Spec.Limits
	if d == nil {
		return ""
	}
	var all []string
	add := func(field, value string, takes func(v1alpha1.Limit) bool) {
		if value != "" && slices.ContainsFunc(limits, takes) {
			all = append(all, field+" "+value)
		}
	}
	add("mode", string(d.Mode), func(l v1alpha1.Limit) bool { return l.Mode == "" })
	add("sharing", string(d.Sharing), func(l v1alpha1.Limit) bool { return l.Sharing == "" && l.FirstBurst == "" })
	add("onUnreachable", string(d.OnUnreachable), func(l v1alpha1.Limit) bool { return l.OnUnreachable == "" && d.OnUnreachableOf(&l) != "" })
	add("firstBurst", string(d.FirstBurst), func(l v1alpha1.Limit) bool { return l.FirstBurst == "" && d.FirstBurstOf(&l) != "" })
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("; by the defaults of EnforcerPool %s, limits that do not say otherwise have %s", in.Pool, strings.Join(all, " and "))
}

// settleDomains gives each domain to the namespace of its oldest policy, and
// takes the policies of other namespaces out. One that asks for the domain of
// another namespace keeps its last good version, if that has a domain of its own.
func settleDomains(candidates []*candidate) {
	slices.SortFunc(candidates, func(a, b *candidate) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.name.String(), b.name.String()))
	})
	owners := map[string]*candidate{}
	// ownerOf returns the policy that a domain belongs to, unless it may be c's.
	ownerOf := func(domain string, c *candidate) *candidate {
		if o := owners[domain]; o != nil && o.name.Namespace != c.name.Namespace {
			return o
		}
		return nil
	}
	for _, c := range candidates {
		if c.version == nil {
			continue
		}
		if owner := ownerOf(c.version.Domain, c); owner != nil {
			c.refuse(owner)
			if c.last != nil && ownerOf(c.last.Domain, c) == nil {
				c.version = c.last
			}
		}
		if c.version != nil && owners[c.version.Domain] == nil {
			owners[c.version.Domain] = c
		}
	}
}

// refuse takes out the version whose domain belongs to another namespace.
func (c *candidate) refuse(owner *candidate) {
	why := fmt.Sprintf("the domain %q belongs to namespace %s, by the older policy %s", c.version.Domain, owner.name.Namespace, owner.name)
	if c.outcome.Accepted() {
		c.outcome.Reason, c.outcome.Message = v1alpha1.ReasonDomainConflict, why+": use another domain"
	} else {
		c.outcome.Message = fmt.Sprintf("%s; generation %d is no longer in force: %s", c.outcome.Message, c.version.Generation, why)
	}
	c.version = nil
}

func byName(d *policy.Document) map[types.NamespacedName]*policy.Policy {
	if d == nil {
		return nil
	}
	all := make(map[types.NamespacedName]*policy.Policy, len(d.Policies))
	for i := range d.Policies {
		p := &d.Policies[i]
		all[types.NamespacedName{Namespace: p.Namespace, Name: p.Name}] = p
	}
	return all
}

// explain joins what is wrong with a policy, at most about 1 KiB of it.
func explain(err error) string {
	const most = 1024
	faults := policy.Errors(err)
	text := ""
	for i, fault := range faults {
		next := fault.Detail()
		if i > 0 {
			next = "; " + next
		}
		if len(text)+len(next) > most && i > 0 {
			return fmt.Sprintf("%s; and %d more", text, len(faults)-i)
		}
		text += next
	}
	return text
}
