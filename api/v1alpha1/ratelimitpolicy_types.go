package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RateLimitPolicy says how much each client may use of something. The limits of
// all policies with one domain apply together: a request is admitted when every
// limit that applies has room for it, and if one has none, none is charged.
//
// A policy is enforced by the pool that spec.poolRef names. Deleting it needs
// nobody's help: it has no finalizer. No controller ever writes to its spec.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rlp,categories=sluice
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.spec.poolRef.name`
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.status.domain`
// +kubebuilder:printcolumn:name="Enforcers",type=string,JSONPath=`.status.enforcers.summary`
// +kubebuilder:printcolumn:name="Admitted/s",type=integer,JSONPath=`.status.admittedPerSecond`
// +kubebuilder:printcolumn:name="Limited/s",type=integer,JSONPath=`.status.limitedPerSecond`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RateLimitPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the policy's author wants.
	//
	// +required
	Spec RateLimitPolicySpec `json:"spec"`

	// Status is what became of it.
	//
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status RateLimitPolicyStatus `json:"status,omitempty"`
}

// RateLimitPolicyList is a list of RateLimitPolicies.
//
// +kubebuilder:object:root=true
type RateLimitPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RateLimitPolicy `json:"items"`
}

// RateLimitPolicySpec is what the policy's author wants.
type RateLimitPolicySpec struct {
	// PoolRef names the EnforcerPool that enforces this policy. It may be changed;
	// the new pool begins with fresh counters. A name that no pool has is
	// Accepted=False with reason PoolNotFound, until the pool appears.
	//
	// +optional
	// +kubebuilder:default={name: "default"}
	PoolRef PoolReference `json:"poolRef,omitempty"`

	// Domain is the name by which callers ask: the domain of the Envoy rate limit
	// protocol, and the last part of the HTTP paths /v1/check/DOMAIN and
	// /v1/auth/DOMAIN. It defaults to "<namespace>.<name>" of the policy.
	//
	// Several policies of one namespace may share a domain: all their limits
	// apply. A domain belongs to the namespace of its oldest policy; a policy of
	// another namespace is Accepted=False with reason DomainConflict, until it is
	// the oldest; its last accepted version stays in force if that has another
	// domain. Of policies that are equally old, the one whose namespace/name sorts
	// first counts as older.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')",message="a domain is made of letters, digits, '-', '_' and '.', and begins and ends with a letter or digit"
	Domain string `json:"domain,omitempty"`

	// Limits are what is limited; every one that applies to a request must admit
	// it. Their order does not change what is admitted.
	//
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Limits []Limit `json:"limits"`
}

// PoolReference names an EnforcerPool in the operator's namespace.
type PoolReference struct {
	// Name of the pool.
	//
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
}

// Expression is a CEL expression over a request. It sees request.method,
// request.path, request.host, request.query['x'], request.headers['x'] (names
// are lower case), source.address and, for the Envoy rate limit protocol,
// descriptor['x']. A header or query parameter that is absent is empty.
//
// A limit whose expressions read a descriptor entry that is not there does not
// apply; one that reads request or source does not apply to a call that
// describes the request by descriptors alone.
//
// An expression that does not compile, or has the wrong type, makes the policy
// Accepted=False with reason Invalid and the position in the message. One that
// fails while a request is decided never lets the request escape: a condition
// counts as true, a part of a key as empty, a cost as 1.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
type Expression string

// Limit is one rate limit.
//
// +kubebuilder:validation:XValidation:rule="!has(self.burst) || self.algorithm == 'TokenBucket'",message="burst belongs to algorithm TokenBucket: remove it, or use TokenBucket"
// +kubebuilder:validation:XValidation:rule="!(self.rate.per in ['Day', 'Week', 'Month', 'Year']) || self.algorithm == 'FixedWindow'",message="a rate per Day, Week, Month or Year needs algorithm FixedWindow: use it, or a duration such as 24h",fieldPath=".rate.per"
// +kubebuilder:validation:XValidation:rule="!has(self.firstBurst) || !has(self.sharing) || self.sharing == 'Gossip'",message="firstBurst belongs to sharing Gossip: remove it, or use Gossip"
// +kubebuilder:validation:XValidation:rule="!has(self.onUnreachable) || has(self.sharing) && self.sharing == 'Exact'",message="onUnreachable belongs to sharing Exact: say sharing: Exact, or remove onUnreachable"
// +kubebuilder:validation:XValidation:rule="!has(self.overrides) || has(self.key)",message="overrides pick clients by their key: add key expressions, or remove overrides"
// +kubebuilder:validation:XValidation:rule="!has(self.overrides) || !has(self.key) || self.overrides.all(o, size(o.key) == size(self.key))",message="the key of each override needs one pattern for each key expression of the limit: use '*' for a part that does not matter"
// +kubebuilder:validation:XValidation:rule="!has(self.overrides) || self.algorithm == 'TokenBucket' || self.overrides.all(o, !has(o.burst))",message="burst belongs to algorithm TokenBucket: remove it from the overrides, or use TokenBucket"
// +kubebuilder:validation:XValidation:rule="!has(self.overrides) || self.algorithm == 'FixedWindow' || self.overrides.all(o, !has(o.rate) || !(o.rate.per in ['Day', 'Week', 'Month', 'Year']))",message="an override with a rate per Day, Week, Month or Year needs algorithm FixedWindow: use it, or a duration such as 24h"
type Limit struct {
	// Name of the limit, unique within the policy. Answers, metrics and status
	// show it. A limit keeps its counters as long as it keeps its name.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="a limit's name is made of lower case letters, digits and '-', and begins and ends with a letter or digit"
	Name string `json:"name"`

	// When says to which requests the limit applies: boolean expressions that must
	// all hold. Without any it applies to every request of the domain.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	When []Expression `json:"when,omitempty"`

	// Key says which requests share a counter: string expressions whose values
	// together identify the client. Without any, all requests share one.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Key []Expression `json:"key,omitempty"`

	// Algorithm says how the rate is counted; TokenBucket by default. A limit that
	// changes its algorithm begins with fresh counters.
	//
	// TokenBucket: the bucket holds burst tokens and refills evenly at the rate.
	// SlidingWindow: at most rate.requests in any stretch of rate.per, estimated
	// from three sub-windows.
	// FixedWindow: at most rate.requests in each stretch of rate.per since
	// 1970-01-01T00:00:00Z, or in each calendar day, week, month or year (UTC).
	//
	// +optional
	// +kubebuilder:default=TokenBucket
	Algorithm Algorithm `json:"algorithm,omitempty"`

	// Rate is what a client may use.
	//
	// +required
	Rate Rate `json:"rate"`

	// Burst is how many tokens a client that was idle may take at once: the size of
	// the token bucket, which is full at first. It defaults to rate.requests. A
	// request that costs more than the burst is never admitted.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	Burst *int64 `json:"burst,omitempty"`

	// Cost is an integer expression: the number of tokens that a request takes. By
	// default the caller says (hits_addend of the Envoy rate limit protocol, cost
	// of the HTTP check), and a caller that says nothing takes 1. A negative value
	// counts as 0: it only looks.
	//
	// +optional
	Cost *Expression `json:"cost,omitempty"`

	// Mode is Enforce by default, unless spec.defaults of the pool says otherwise. A
	// limit in mode Shadow is decided, counted and reported, but never denies: it
	// shows what it would do.
	//
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// Sharing says how the enforcers of the pool count together; Gossip by default,
	// unless spec.defaults of the pool says otherwise.
	//
	// Gossip: each enforcer decides at once, by what it has heard of the others. No
	// request waits, and what is admitted is within a percent of the limit. It is right
	// for most.
	//
	// Exact: one enforcer keeps the count of a client, and not one request above the
	// limit is admitted, unless that one dies: another goes on from its copy, which may
	// lack the last moment. The first request of a client at another enforcer waits for
	// one hop to the one that keeps its count; a busy client is decided at once, from
	// tokens that are lent in batches. It is right for what is paid for, and for limits
	// that are small. A token bucket needs a burst of at least what comes in during
	// 20 ms: with a smaller one, some of the rate is lost while tokens are on their way.
	//
	// Local: each enforcer counts for itself and tells nobody, so that a pool of N
	// admits up to N times the rate, and a new enforcer begins with a full bucket. It
	// is right for what every enforcer has of its own, and where the balancer sends
	// each client to one enforcer only.
	//
	// When a limit's sharing changes between Gossip and Local, what an enforcer knows to be
	// used stays used. When it changes to Exact or from it, every client begins anew.
	//
	// +optional
	Sharing Sharing `json:"sharing,omitempty"`

	// OnUnreachable belongs to sharing Exact. It says what an enforcer does when it
	// cannot reach the one that keeps a client's count: because the network is split, or
	// because that one died and another has not taken over yet, for at most 2 s.
	//
	// LocalShare, the default unless spec.defaults of the pool says otherwise: it admits
	// its part, 1/N of the rate where there are N enforcers, so that all of them together
	// admit no more than the limit.
	//
	// Deny: it admits nothing but what it has been lent. It is right where a request too
	// many costs more than one too few.
	//
	// Admit: it admits all. It is right where clients matter more than the limit.
	//
	// +optional
	OnUnreachable OnUnreachable `json:"onUnreachable,omitempty"`

	// FirstBurst says how much of the burst one enforcer may grant to a client that
	// the pool has not told it of yet. It matters within the few milliseconds in
	// which enforcers cannot know of each other; no limiter that decides locally can
	// avoid the choice.
	//
	// Full, the default, is right for most: all of the burst. A burst of one client
	// at one enforcer is served at once. One at all N enforcers at the same moment
	// may be admitted N times; that is paid back before anything more is admitted.
	//
	// Share grants a part of 1/N, and at least one token: hardly more than the burst
	// is ever admitted, but of a larger burst at one enforcer the rest is denied
	// until the pool has answered. Use it where a flash must not pass, as on a log-in.
	//
	// spec.defaults of the pool may make Share the default. A limit that says firstBurst
	// is one of sharing Gossip, also where that is not the pool's default.
	//
	// +optional
	FirstBurst FirstBurst `json:"firstBurst,omitempty"`

	// Overrides are exceptions for some clients; the first whose key matches the
	// client's wins, and the limit's own rate holds for everybody else.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Overrides []Override `json:"overrides,omitempty"`
}

// Algorithm is a way to count a rate.
//
// +kubebuilder:validation:Enum=TokenBucket;SlidingWindow;FixedWindow
type Algorithm string

// The algorithms.
const (
	AlgorithmTokenBucket   Algorithm = "TokenBucket"
	AlgorithmSlidingWindow Algorithm = "SlidingWindow"
	AlgorithmFixedWindow   Algorithm = "FixedWindow"
)

// Mode says whether a limit denies.
//
// +kubebuilder:validation:Enum=Enforce;Shadow
type Mode string

// The modes.
const (
	ModeEnforce Mode = "Enforce"
	ModeShadow  Mode = "Shadow"
)

// Rate is a number of tokens each stretch of time.
type Rate struct {
	// Requests is the number of tokens: of requests, where each costs one.
	//
	// +required
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	Requests int64 `json:"requests"`

	// Per is the stretch of time: a duration such as 1s, 250ms or 1h30m (Gateway
	// API's GEP-2257: hours, minutes, seconds, milliseconds), from 1ms to 8784h; or
	// Day, Week (from Monday), Month or Year of the UTC calendar, for FixedWindow.
	//
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self in ['Day', 'Week', 'Month', 'Year'] || self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')",message="use a duration of hours, minutes, seconds and milliseconds such as 1s, 250ms or 1h30m, or Day, Week, Month or Year"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') || (duration(self) >= duration('1ms') && duration(self) <= duration('8784h'))",message="use a duration from 1ms to 8784h (366 days)"
	Per string `json:"per"`
}

// Override is an exception to a limit: another rate, none, or a ban.
//
// +kubebuilder:validation:XValidation:rule="(has(self.rate) ? 1 : 0) + (has(self.unlimited) && self.unlimited ? 1 : 0) + (has(self.deny) && self.deny ? 1 : 0) == 1",message="an override needs exactly one of rate, unlimited: true and deny: true"
// +kubebuilder:validation:XValidation:rule="!has(self.burst) || has(self.rate)",message="the burst of an override goes with its rate: add rate, or remove burst"
type Override struct {
	// Key picks the clients: one pattern for each key expression of the limit. '*'
	// matches any value, 'abc*' every value that begins with abc, and anything
	// else exactly itself.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Key []KeyPattern `json:"key"`

	// Rate replaces the limit's rate for these clients. Each has a counter of its
	// own, as with the limit's rate.
	//
	// +optional
	Rate *Rate `json:"rate,omitempty"`

	// Burst goes with rate, and defaults to its requests.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	Burst *int64 `json:"burst,omitempty"`

	// Unlimited: these clients are admitted whatever they use.
	//
	// +optional
	Unlimited bool `json:"unlimited,omitempty"`

	// Deny: these clients are never admitted.
	//
	// +optional
	Deny bool `json:"deny,omitempty"`
}

// KeyPattern matches one part of a key.
//
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule="!self.contains('*') || self.indexOf('*') == size(self) - 1",message="'*' stands alone or at the end of a pattern, as in 'abc*'"
type KeyPattern string

// Pool returns the name of the policy's pool.
func (p *RateLimitPolicy) Pool() string {
	if name := p.Spec.PoolRef.Name; name != "" {
		return name
	}
	return DefaultPool
}
