package v1alpha1

// LabelPool is on every object that belongs to an EnforcerPool; its value is the
// pool's name.
const LabelPool = "sluice.dev/pool"

// DefaultPool is the pool of a policy that names none.
const DefaultPool = "default"
