package assemble

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Cache remembers policies as they are in a document and what compiling them found,
// so that a change of one does not make and compile a thousand others. It keeps what
// the last Document used. Not safe for concurrent use; a nil Cache remembers nothing.
type Cache struct {
	checks map[version]*checked
}

// version identifies the text of a policy. Policies that were read from files
// have no UID and are compiled each time.
type version struct {
	uid        string
	generation int64
}

type checked struct {
	policy   *policy.Policy // nil until it was made here: a document may be by an older manager
	defaults v1alpha1.LimitDefaults
	compiled bool
	err      error // of compiling
	used     bool
}

// NewCache returns an empty Cache.
func NewCache() *Cache { return &Cache{checks: map[version]*checked{}} }

// compile returns what policy.CompilePolicy says of p.
func (c *Cache) compile(p *policy.Policy) error {
	if c == nil || p.UID == "" {
		return policy.CompilePolicy(p)
	}
	known := c.of(version{p.UID, p.Generation})
	if !known.compiled {
		known.compiled, known.err = true, policy.CompilePolicy(p)
	}
	return known.err
}

// policy returns what Policy makes of a resource.
func (c *Cache) policy(p *v1alpha1.RateLimitPolicy, defaults *v1alpha1.LimitDefaults) *policy.Policy {
	if c == nil || p.UID == "" {
		made := Policy(p, defaults)
		return &made
	}
	with := v1alpha1.LimitDefaults{}
	if defaults != nil {
		with = *defaults
	}
	known := c.of(version{string(p.UID), p.Generation})
	if known.policy == nil || known.defaults != with {
		made := Policy(p, defaults)
		known.policy, known.defaults = &made, with
	}
	return known.policy
}

// of returns what is known of a version, and keeps it.
func (c *Cache) of(v version) *checked {
	known := c.checks[v]
	if known == nil {
		known = &checked{}
		c.checks[v] = known
	}
	known.used = true
	return known
}

// sweep forgets what was not used since the last sweep.
func (c *Cache) sweep() {
	if c == nil {
		return
	}
	for v, known := range c.checks {
		if !known.used {
			delete(c.checks, v)
		}
		known.used = false
	}
}
