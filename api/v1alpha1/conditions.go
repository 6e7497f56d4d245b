package v1alpha1

// Condition types of a RateLimitPolicy. Each has observedGeneration, and is
// positive: True is what its author wants.
const (
	// ConditionAccepted says whether the policy makes sense on its own and among
	// the others. It does not say that anybody enforces it.
	//
	// Reasons for True: Accepted.
	// Reasons for False: Invalid, DomainConflict, PoolNotFound.
	ConditionAccepted = "Accepted"

	// ConditionProgrammed says whether every ready enforcer of the pool runs this
	// generation of the policy. It goes back to False when one lags or loses it;
	// the message counts the enforcers and names those that lag.
	//
	// Reasons for True: Programmed.
	// Reasons for False: Pending, NoEnforcers, NotAccepted.
	ConditionProgrammed = "Programmed"

	// ConditionPublished says whether the pool's document is in its ConfigMaps.
	//
	// Reasons for True: Published.
	// Reasons for False: PublishFailed.
	ConditionPublished = "Published"

	// ConditionReady sums the others up, for kstatus, Argo CD, Flux and kubectl
	// wait: of a policy, that it is accepted and programmed; of a pool, that its
	// document is published and every ready enforcer runs it.
	//
	// Reasons for True: Ready.
	// Reasons for False: the reason of the first condition that is not True.
	ConditionReady = "Ready"
)

// Reasons of conditions.
const (
	// ReasonAccepted: the policy compiles and its domain is its namespace's own.
	ReasonAccepted = "Accepted"

	// ReasonInvalid: an expression does not compile, or a value is out of range.
	// The message has the field and the position in the expression. The last
	// version that was accepted, if any, stays in force.
	ReasonInvalid = "Invalid"

	// ReasonDomainConflict: an older policy of another namespace has the domain.
	// The last version that was accepted, if any, stays in force, unless its domain
	// too went to another namespace.
	ReasonDomainConflict = "DomainConflict"

	// ReasonPoolNotFound: spec.poolRef names an EnforcerPool that does not exist.
	ReasonPoolNotFound = "PoolNotFound"

	// ReasonProgrammed: every ready enforcer runs this generation.
	ReasonProgrammed = "Programmed"

	// ReasonPending: at least one ready enforcer does not run this generation yet.
	ReasonPending = "Pending"

	// ReasonNoEnforcers: the pool has no ready enforcer.
	ReasonNoEnforcers = "NoEnforcers"

	// ReasonNotAccepted: a policy that is not accepted is not programmed.
	ReasonNotAccepted = "NotAccepted"

	// ReasonPublished: the document is in the pool's ConfigMaps.
	ReasonPublished = "Published"

	// ReasonPublishFailed: the API server refused the ConfigMaps; the message says why.
	ReasonPublishFailed = "PublishFailed"

	// ReasonReady: everything that Ready sums up is True.
	ReasonReady = "Ready"
)
