//go:build race

package lease_test

// raceEnabled: the race detector makes everything ten times slower.
const raceEnabled = true
