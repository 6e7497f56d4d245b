package v1alpha1

// Condition types of a RateLimitPolicy and of an EnforcerPool. Each has
// observedGeneration, and is positive, but for Stalled: True is what its author
// wants.
const (
	// ConditionAccepted says whether the policy makes sense on its own and among
	// the others. It does not say that anybody enforces it.
	//
	// Reasons for True: Accepted.
	// Reasons for False: Invalid, DomainConflict, PoolNotFound, NotAllowedByPool.
	ConditionAccepted = "Accepted"

	// ConditionProgrammed says whether every ready enforcer of the pool runs this
	// generation of the policy, with the pool's defaults as they are. It goes back to
	// False when one lags or loses it; the message counts the enforcers and names those
	// that lag, or are too old for a field of it.
	//
	// Reasons for True: Programmed.
	// Reasons for False: Pending, NoEnforcers, NotAccepted.
	ConditionProgrammed = "Programmed"

	// ConditionPublished says whether the pool's document is in its ConfigMaps.
	//
	// Reasons for True: Published.
	// Reasons for False: PublishFailed.
	ConditionPublished = "Published"

	// ConditionAvailable says whether as many enforcers of a pool are ready as
	// there should be. A pool whose enforcers somebody else runs does not have it.
	//
	// Reasons for True: Available.
	// Reasons for False: Unavailable.
	ConditionAvailable = "Available"

	// ConditionProgressing says whether what the spec of a pool asks for is there or
	// on its way. It becomes False when that does not get anywhere. A pool whose
	// enforcers somebody else runs does not have it.
	//
	// Reasons for True: RolledOut, RollingOut.
	// Reasons for False: BuildFailed, InvalidCertificateRef, Stuck.
	ConditionProgressing = "Progressing"

	// ConditionStalled says that a pool does not get anywhere by itself, for kstatus:
	// it is True while Progressing is False with the reason Stuck, and else absent.
	//
	// Reasons for True: Stuck.
	ConditionStalled = "Stalled"

	// ConditionScaling says whether the autoscaler of a pool finds what it goes by. A
	// pool without spec.autoscaling does not have it, nor one whose autoscaler has not
	// looked yet. Ready does not depend on it: the enforcers that are there enforce.
	//
	// Reasons for True: Scaling.
	// Reasons for False: NotScaling.
	ConditionScaling = "Scaling"

	// ConditionReady sums the others up, for kstatus, Argo CD, Flux and kubectl
	// wait: of a policy, that it is accepted and programmed; of a pool, that its
	// document is published, that its enforcers are as the spec says, and that every
	// one that is ready runs the document.
	//
	// Reasons for True: Ready.
	// Reasons for False: the reason of the first condition that is not True; of a
	// pool also RollingOut, NoEnforcers, Pending and Apart.
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

	// ReasonNotAllowedByPool: spec.allowedNamespaces of the pool leaves out the
	// policy's namespace. No version of the policy is in force.
	ReasonNotAllowedByPool = "NotAllowedByPool"

	// ReasonProgrammed: every ready enforcer runs this generation.
	ReasonProgrammed = "Programmed"

	// ReasonPending: at least one ready enforcer does not run this generation yet, or
	// not all of it.
	ReasonPending = "Pending"

	// ReasonNoEnforcers: the pool has no ready enforcer.
	ReasonNoEnforcers = "NoEnforcers"

	// ReasonNotAccepted: a policy that is not accepted is not programmed.
	ReasonNotAccepted = "NotAccepted"

	// ReasonPublished: the document is in the pool's ConfigMaps.
	ReasonPublished = "Published"

	// ReasonPublishFailed: the API server refused the ConfigMaps; the message says why.
	ReasonPublishFailed = "PublishFailed"

	// ReasonAvailable: as many enforcers are ready as there should be.
	ReasonAvailable = "Available"

	// ReasonUnavailable: fewer enforcers are ready than there should be; the message
	// names the pods that are not, and says why.
	ReasonUnavailable = "Unavailable"

	// ReasonRolledOut: every enforcer is as the spec says.
	ReasonRolledOut = "RolledOut"

	// ReasonRollingOut: enforcers are being replaced by ones that are as the spec says.
	ReasonRollingOut = "RollingOut"

	// ReasonStuck: the replacement has not got on for ten minutes; the message says
	// what the Deployment says, and which pods are not ready, and why.
	ReasonStuck = "Stuck"

	// ReasonBuildFailed: the API server refused something that belongs to the pool;
	// the message says what, and why.
	ReasonBuildFailed = "BuildFailed"

	// ReasonInvalidCertificateRef: spec.tls names something that is not there, or holds
	// no certificate of use; the message names both.
	ReasonInvalidCertificateRef = "InvalidCertificateRef"

	// ReasonScaling: the autoscaler has a value of each of its metrics.
	ReasonScaling = "Scaling"

	// ReasonNotScaling: the autoscaler misses a metric, or cannot scale; the message
	// says what it says.
	ReasonNotScaling = "NotScaling"

	// ReasonApart: some enforcers have not heard each other for seconds, so they do
	// not share what they count; the message names them.
	ReasonApart = "Apart"

	// ReasonReady: everything that Ready sums up is True.
	ReasonReady = "Ready"
)
