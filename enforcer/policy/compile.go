package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Bounds of a policy, as in the CRD. A document may come from elsewhere, so they
// are checked again.
const (
	MaxLimits    = 64
	MaxWhen      = 16
	MaxKey       = 4
	MaxOverrides = 256
)

// Compile turns a document into a Snapshot. It reports every fault of every
// policy, each as an *Error; Errors lists them.
func Compile(d *Document) (*Snapshot, error) { return new(Compiler).Compile(d) }

// Compiler compiles one document after another, each faster for what it has in
// common with the one before. The zero value is ready. Not safe for concurrent use.
type Compiler struct{ expressions expressions }

// Compile does what the function of this name does.
func (r *Compiler) Compile(d *Document) (*Snapshot, error) {
	digests := d.Digests()
	s := &Snapshot{Digest: digests.Document, Document: d, PolicyDigests: digests.Policies, domains: map[string]*Domain{}}
	r.expressions.begin()
	c := compiler{s, &r.expressions}
	var all []error
	order := make([]int, len(d.Policies))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return d.Policies[a].Compare(&d.Policies[b]) })
	for n, i := range order {
		p := &d.Policies[i]
		if n > 0 && p.Compare(&d.Policies[order[n-1]]) == 0 {
			all = append(all, &Error{Policy: p.String(), Field: "metadata.name", Message: "the document has two policies of this name"})
			continue
		}
		if err := c.add(p); err != nil {
			all = append(all, err)
		}
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	for _, domain := range s.domains {
		domain.file()
	}
	return s, nil
}

// CompilePolicy reports what Compile would say of a policy.
func CompilePolicy(p *Policy) error {
	c := compiler{&Snapshot{domains: map[string]*Domain{}}, &expressions{}}
	return c.add(p)
}

// compiler compiles policies into a snapshot.
type compiler struct {
	snapshot    *Snapshot
	expressions *expressions
}

// add compiles a policy into the snapshot.
func (c *compiler) add(p *Policy) error {
	f := &faults{policy: p.String()}
	if p.Domain == "" {
		f.add("spec.domain", "a policy needs a domain")
	}
	if len(p.Limits) < 1 || len(p.Limits) > MaxLimits {
		f.add("spec.limits", "%d limits: use 1 to %d", len(p.Limits), MaxLimits)
		return f.err()
	}
	domain := c.snapshot.domains[p.Domain]
	if domain == nil {
		domain = &Domain{Name: p.Domain}
		c.snapshot.domains[p.Domain] = domain
	}
	for i := range p.Limits {
		l, field := &p.Limits[i], fmt.Sprintf("spec.limits[%d]", i)
		if slices.ContainsFunc(p.Limits[:i], func(o Limit) bool { return o.Name == l.Name }) {
			f.add(field+".name", "%q is the name of another limit of this policy: use another one", l.Name)
		}
		domain.Limits = append(domain.Limits, c.limit(f, field, p, l))
	}
	return f.err()
}

func (c *compiler) limit(f *faults, field string, p *Policy, l *Limit) *CompiledLimit {
	out := &CompiledLimit{ID: LimitID(p, l)}
	switch {
	case l.Name == "":
		f.add(field+".name", "a limit needs a name")
	case l.Mode != "" && l.Mode != Enforce && l.Mode != Shadow:
		f.add(field+".mode", "%q: use Enforce or Shadow", l.Mode)
	}
	checkSharing(f, field, l)
	c.compileExpressions(f, field, out, l)
	out.Meter, out.Quota = c.meter(f, field, p, l, 0, l.Rate, l.Burst)
	c.overrides(f, field, out, p, l)
	return out
}

func (c *compiler) compileExpressions(f *faults, field string, out *CompiledLimit, l *Limit) {
	if len(l.When) > MaxWhen {
		f.add(field+".when", "%d expressions: use at most %d, or join some with &&", len(l.When), MaxWhen)
	}
	if len(l.Key) > MaxKey {
		f.add(field+".key", "%d expressions: use at most %d", len(l.Key), MaxKey)
	}
	for i, source := range l.When {
		if e, err := c.expressions.bool(source); err != nil {
			f.addErr(fmt.Sprintf("%s.when[%d]", field, i), err)
		} else {
			out.When = append(out.When, e)
			out.Reads = out.Reads.Union(e.Reads())
		}
	}
	for i, source := range l.Key {
		if e, err := c.expressions.string(source); err != nil {
			f.addErr(fmt.Sprintf("%s.key[%d]", field, i), err)
		} else {
			out.Key = append(out.Key, e)
			out.Reads = out.Reads.Union(e.Reads())
		}
	}
	if l.Cost == "" {
		return
	}
	e, err := c.expressions.int(l.Cost)
	if err != nil {
		f.addErr(field+".cost", err)
		return
	}
	out.Cost = e
	out.Reads = out.Reads.Union(e.Reads())
}

func (c *compiler) overrides(f *faults, field string, out *CompiledLimit, p *Policy, l *Limit) {
	if len(l.Overrides) > MaxOverrides {
		f.add(field+".overrides", "%d overrides: use at most %d", len(l.Overrides), MaxOverrides)
		return
	}
	for i, o := range l.Overrides {
		at := fmt.Sprintf("%s.overrides[%d]", field, i)
		if len(o.Key) != len(l.Key) || len(o.Key) == 0 {
			f.add(at+".key", "%d patterns for a key of %d parts: use one for each, '*' for a part that does not matter", len(o.Key), len(l.Key))
		}
		e := Exception{Unlimited: o.Unlimited, Deny: o.Deny}
		switch {
		case o.Rate != nil && !o.Unlimited && !o.Deny:
			e.Meter, e.Quota = c.meter(f, at, p, l, uint16(i+1), *o.Rate, o.Burst)
		case o.Rate == nil && o.Unlimited != o.Deny:
			e.Quota = exceptionQuota(p, l, o.Unlimited)
		default:
			f.add(at, "an override needs exactly one of rate, unlimited: true and deny: true")
		}
		out.overrides.add(o.Key, e)
	}
}

// meter adds the meter of a rate to the snapshot and returns its position.
func (c *compiler) meter(f *faults, field string, p *Policy, l *Limit, variant uint16, r Rate, burst int64) (int, *request.Quota) {
	params, err := compileRate(f, field, l.Algorithm, r, burst)
	if err != nil {
		f.addErr(field+".rate", err)
	}
	q := quota(p, l, &params)
	s := c.snapshot
	sharing, _ := sharingOf(l.Sharing)
	onUnreachable, _ := onUnreachableOf(l.OnUnreachable)
	s.Meters = append(s.Meters, Meter{
		Limit: LimitID(p, l), Variant: variant, Params: params,
		Sharing: sharing, OnUnreachable: onUnreachable, Cautious: l.FirstBurst == Share, Quota: q,
	})
	return len(s.Meters) - 1, q
}

func compileRate(f *faults, field, algorithm string, r Rate, burst int64) (decide.Params, error) {
	per, calendar, err := ParsePer(r.Per)
	if err != nil {
		f.addErr(field+".rate.per", err)
		return decide.Params{}, nil
	}
	requests := limit.Amount(r.Requests)
	if calendar != 0 && algorithm != FixedWindow {
		return decide.Params{}, fmt.Errorf("a rate per %s needs algorithm FixedWindow: use it, or a duration such as 24h", calendar)
	}
	if burst != 0 && algorithm != TokenBucket {
		return decide.Params{}, errors.New("burst belongs to algorithm TokenBucket: remove it, or use TokenBucket")
	}
	switch {
	case algorithm == TokenBucket && burst == 0:
		return decide.TokenBucket(requests, per, requests)
	case algorithm == TokenBucket:
		return decide.TokenBucket(requests, per, limit.Amount(burst))
	case algorithm == SlidingWindow:
		return decide.SlidingWindow(requests, per)
	case algorithm == FixedWindow && calendar != 0:
		return decide.CalendarWindow(requests, calendar)
	case algorithm == FixedWindow:
		return decide.FixedWindow(requests, per)
	}
	f.add(field+".algorithm", "%q: use TokenBucket, SlidingWindow or FixedWindow", algorithm)
	return decide.Params{}, nil
}

// LimitID identifies a limit over all its versions, on every enforcer: Meter.Limit.
func LimitID(p *Policy, l *Limit) uint64 {
	var text []byte
	text = joinParts(text, []string{p.Namespace, p.Name, l.Name})
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:])
}
