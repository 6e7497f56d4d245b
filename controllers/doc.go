// Package controllers is the manager: it runs the enforcers of pools, turns policies
// into the document that the enforcers of a pool run, and tells in the policies'
// status what became of them.
//
// The reconciler of EnforcerPool builds what runs a pool's enforcers
// (controllers/workload), judges its policies (enforcer/assemble), publishes their
// document in ConfigMaps, and notes the verdicts on the board. The collector asks
// the pool's enforcers what they run, and notes that on the board. The reconciler of
// RateLimitPolicy writes status, a pure function of the policy and what the board
// says of it. Each has one root kind and rebuilds everything on each pass; a trigger
// wakes a reconciler when the board changed for it.
//
// Nothing on the request path waits for this package.
package controllers
