package main

import "testing"

func TestMemoryLimit(t *testing.T) {
	for live, want := range map[int64]int64{0: 24 << 20, 16 << 20: 44 << 20, 64 << 20: 104 << 20, 4 << 30: 5<<30 + 24<<20} {
		if got := memoryLimit(live); got != want {
			t.Errorf("while %d bytes are in use the limit is %d, want %d", live, got, want)
		}
	}
}
