package match

import (
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
// again, and comparing is several times as fast as hashing.
type hasher struct {
	seed   Seed
	text   []byte
	asked  int // keys of the request so far
	recent [4]recentKey
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
	if h.asked >= len(h.recent) {
		return h.compute(id, parts)
	}
	r := &h.recent[h.asked]
	h.asked++
	if !r.is(id, parts) {
		r.key = h.compute(id, parts)
		r.note(id, parts)
	}
	return r.key
}

func (h *hasher) compute(id uint64, parts []string) limit.Key {
	h.text = encodeKey(h.text[:0], id, parts)
	hi, lo := siphash.Hash128(binary.LittleEndian.Uint64(h.seed[:8]), binary.LittleEndian.Uint64(h.seed[8:]), h.text)
	if hi|lo == 0 {
		lo = 1 // the zero Key is no key
	}
	return limit.Key{Hi: hi, Lo: lo}
}

// recentKey is a key and what it was made of, where that is short. The zero
// recentKey is none.
type recentKey struct {
	key   limit.Key
	id    uint64
	parts int      // their number, and 1 more; 0 when they were too long
	ends  [4]uint8 // of the parts in text
	text  [44]byte
}

// is says whether the key was made of these.
func (r *recentKey) is(id uint64, parts []string) bool {
	if r.id != id || r.parts != len(parts)+1 {
		return false
	}
	begin := uint8(0)
	for i, p := range parts {
		end := r.ends[i]
		if string(r.text[begin:end]) != p {
			return false
		}
		begin = end
	}
	return true
}

func (r *recentKey) note(id uint64, parts []string) {
	r.parts = 0
	if len(parts) > len(r.ends) {
		return
	}
	end := 0
	for i, p := range parts {
		if len(p) > len(r.text)-end {
			return
		}
		end += copy(r.text[end:], p)
		r.ends[i] = uint8(end)
	}
	r.id, r.parts = id, len(parts)+1
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
