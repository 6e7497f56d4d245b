package match

import (
	"bytes"
	"encoding/binary"

	"github.com/dchest/siphash"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Seed keys the hash of all counters. It is shared by the enforcers of a pool, so
// that they agree on the keys, and secret, so that nobody can choose values whose
// keys collide.
type Seed [16]byte

// ownLimits is hashed in place of a limit for the limits that requests bring
// along.
const ownLimits = 0

// hasher names counters by SipHash-2-4 of 128 bits. It remembers the first keys of
// the request before: a client that floods the enforcer asks for the same ones
// again, and comparing is three times as fast as hashing.
type hasher struct {
	seed   Seed
	text   []byte
	asked  int // keys of the request so far
	recent [4]struct {
		length int // of text; 0 before the first
		text   [48]byte
		key    limit.Key
	}
}

// begin prepares for the keys of another request.
func (h *hasher) begin(seed Seed) {
	h.asked = 0
	if h.seed != seed {
		*h = hasher{seed: seed, text: h.text}
	}
}

// hash names the counter of a limit for key parts.
func (h *hasher) hash(id uint64, parts []string) limit.Key {
	h.text = encodeKey(h.text[:0], id, parts)
	at := h.asked
	h.asked++
	if at >= len(h.recent) || len(h.text) > len(h.recent[at].text) {
		return h.seed.hash(h.text)
	}
	r := &h.recent[at]
	if !bytes.Equal(r.text[:r.length], h.text) {
		r.length = copy(r.text[:], h.text)
		r.key = h.seed.hash(h.text)
	}
	return r.key
}

func (s *Seed) hash(text []byte) limit.Key {
	hi, lo := siphash.Hash128(binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:]), text)
	if hi|lo == 0 {
		lo = 1 // the zero Key is no key
	}
	return limit.Key{Hi: hi, Lo: lo}
}

// encodeKey appends the limit's identity and the parts, each after its length:
// two different lists never look the same.
func encodeKey(out []byte, id uint64, parts []string) []byte {
	out = binary.LittleEndian.AppendUint64(out, id)
	for _, p := range parts {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}
