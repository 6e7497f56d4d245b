package membership

import (
	"bytes"
	"testing"
)

// What enforcers of neighbouring releases say to each other: a form that was
// released stays.
func TestMeta(t *testing.T) {
	for says, want := range map[string]meta{
		"S\x00":                    {},
		"L\x00":                    {leaving: true},
		"S\x05north":               {zone: "north"},
		"L\x05north":               {leaving: true, zone: "north"},
		"":                         {}, // of releases before v0.1.0
		"L":                        {leaving: true},
		"S\x00\x00\x00":            {},
		"S\x05north\x00\x00":       {zone: "north"},
		"S\x05north and some more": {zone: "north"},
		"S\x06north":               {}, // cut off
	} {
		if got := decodeMeta([]byte(says)); got != want {
			t.Errorf("%q reads as %+v, want %+v", says, got, want)
		}
	}
	for m, want := range map[meta]string{
		{}:                             "S\x00\x00\x00\x00",
		{leaving: true, zone: "north"}: "L\x05north\x00\x00\x00",
	} {
		if got := string(m.encode(3)); got != want {
			t.Errorf("%+v is written as %q, want %q", m, got, want)
		}
	}
}

// FuzzMeta reads anything as meta data. What was read is written as it reads.
func FuzzMeta(f *testing.F) {
	f.Add([]byte("S\x05north\x00"), 0)
	f.Add([]byte("L\xff"), 127)
	f.Fuzz(func(t *testing.T, says []byte, pad int) {
		pad &= maxPad
		m := decodeMeta(says)
		written := m.encode(pad)
		if again := decodeMeta(written); again != m {
			t.Errorf("%+v is read again as %+v", m, again)
		}
		if len(written) > 2+maxZone+maxPad || !bytes.HasSuffix(written, make([]byte, pad)) {
			t.Errorf("%d bytes of padding make %q", pad, written)
		}
	})
}
