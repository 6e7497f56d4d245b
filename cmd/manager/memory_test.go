package main

import "testing"

func TestMemoryLimit(t *testing.T) {
	for live, want := range map[int64]int64{0: 24 << 20, 20 << 20: 48 << 20, 80 << 20: 120 << 20, 5 << 30: 6<<30 + 24<<20} {
		if got := memoryLimit(live); got != want {
			t.Errorf("while %d bytes are in use the limit is %d, want %d", live, got, want)
		}
	}
}
