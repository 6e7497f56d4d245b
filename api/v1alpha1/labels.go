package v1alpha1

// LabelPool is on every object that belongs to an EnforcerPool; its value is the
// pool's name.
const LabelPool = "sluice.dev/pool"

// DefaultPool is the pool of a policy that names none.
const DefaultPool = "default"

// AdminPort is the name of the port, of the Service that lists a pool's enforcers,
// at which they tell of themselves.
const AdminPort = "admin"
