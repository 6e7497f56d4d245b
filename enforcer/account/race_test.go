//go:build race

package account_test

// raceEnabled: the race detector makes everything ten times slower.
const raceEnabled = true
