package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[int64]int64{
		0:        800, // of the 4 MiB that Go takes it for: 32 MiB
		8 << 20:  400,
		16 << 20: 200,
		32 << 20: 100,
		1 << 40:  100,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("of %d bytes %d %%, want %d", live, got, want)
		}
	}
}
