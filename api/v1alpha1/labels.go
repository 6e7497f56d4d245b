package v1alpha1

// LabelPool is on every object that belongs to an EnforcerPool; its value is the
// pool's name.
const LabelPool = "sluice.dev/pool"

// DefaultPool is the pool of a policy that names none.
const DefaultPool = "default"

// AdminPort is the name of the port, of the Service that lists a pool's enforcers,
// at which they tell of themselves.
const AdminPort = "admin"

// AdminTLSPort is its name where it speaks TLS. A pod has one of the two, so the
// EndpointSlices tell how to ask each while a pool goes over to TLS, or back.
const AdminTLSPort = "admin-tls"
