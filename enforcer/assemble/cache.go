package assemble

import "github.com/sluice-dev/sluice/enforcer/policy"

// Cache remembers what compiling a policy found, so that a change of one policy
// does not compile a thousand others. It keeps what the last Document used. Not
// safe for concurrent use; a nil Cache remembers nothing.
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
	err  error
	used bool
}

// NewCache returns an empty Cache.
func NewCache() *Cache { return &Cache{checks: map[version]*checked{}} }

// compile returns what policy.CompilePolicy says of p.
func (c *Cache) compile(p *policy.Policy) error {
	if c == nil || p.UID == "" {
		return policy.CompilePolicy(p)
	}
	v := version{p.UID, p.Generation}
	known := c.checks[v]
	if known == nil {
		known = &checked{err: policy.CompilePolicy(p)}
		c.checks[v] = known
	}
	known.used = true
	return known.err
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
