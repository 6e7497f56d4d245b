//go:build race

package scenario

// raceEnabled: the race detector makes everything ten times slower.
const raceEnabled = true
