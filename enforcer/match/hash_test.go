package match

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// decodeKey reads what encodeKey wrote; that it can shows that no two lists are
// encoded alike.
func decodeKey(t fataler, text []byte) (id uint64, parts []string) {
	if len(text) < 8 {
		t.Fatalf("%d bytes are no key", len(text))
	}
	for i := range 8 {
		id |= uint64(text[i]) << (8 * i)
	}
	for text = text[8:]; len(text) > 0; {
		n, shift := 0, 0
		for more := true; more; shift += 7 {
			n |= int(text[0]&0x7f) << shift
			more, text = text[0]&0x80 != 0, text[1:]
		}
		parts, text = append(parts, string(text[:n])), text[n:]
	}
	return id, parts
}

type fataler interface {
	Fatalf(format string, args ...any)
}

var partsGenerator = rapid.SliceOfN(rapid.OneOf(
	rapid.SampledFrom([]string{"", "a", "ab", "b", "\x01", "\x00", "\x01a", "a\x01"}), rapid.StringN(0, 60, 300),
), 0, 10)

func TestPartsNeverRunTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, parts := rapid.Uint64().Draw(t, "limit"), partsGenerator.Draw(t, "parts")
		gotID, got := decodeKey(t, encodeKey(nil, id, parts))
		if gotID != id || !slices.Equal(got, parts) {
			t.Fatalf("%x %q is encoded as %x %q", id, parts, gotID, got)
		}
	})
	var h hasher
	seen := map[limit.Key][]string{}
	for _, parts := range [][]string{
		nil, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"a", "", "b"}, {"\x01a", "b"}, {"\x01", "ab"}, {"a\x01b"},
	} {
		key := h.hash(1, parts)
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have one key", other, parts)
		}
		seen[key] = parts
	}
}

// A hasher that remembers says what one without a past says, whatever it was asked
// before.
func TestRememberedKeysAreTheRightOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h hasher
		seeds := []Seed{{}, {1}, {15: 1}}
		few := rapid.SampledFrom([][]string{nil, {""}, {"a"}, {"b"}, {"a", "b"}, {"ab"}, {"", "ab"}})
		for range rapid.IntRange(1, 20).Draw(t, "requests") {
			seed := rapid.SampledFrom(seeds).Draw(t, "seed")
			h.begin(seed)
			for range rapid.IntRange(0, 6).Draw(t, "keys") {
				id := rapid.Uint64Range(0, 1).Draw(t, "limit")
				parts := rapid.OneOf(few, partsGenerator).Draw(t, "parts")
				fresh := hasher{seed: seed}
				if got, want := h.hash(id, parts), fresh.hash(id, parts); got != want {
					t.Fatalf("the key of %d %q is %v, want %v", id, parts, got, want)
				}
			}
		}
	})
}

func TestAKeyDependsOnSeedAndLimit(t *testing.T) {
	key := func(seed Seed, id uint64) limit.Key {
		h := hasher{seed: seed}
		return h.hash(id, []string{"a"})
	}
	if key(Seed{1}, 1) == key(Seed{2}, 1) {
		t.Error("two seeds give one key")
	}
	if key(Seed{1}, 1) == key(Seed{1}, 2) {
		t.Error("two limits have one key for the same client")
	}
}

// FuzzKey encodes two lists of parts and wants different keys unless they are the
// same.
func FuzzKey(f *testing.F) {
	f.Add(uint64(1), "a", "b", uint64(1), "ab", "")
	f.Add(uint64(0), "", "", uint64(1<<63), "\x00", "\x01")
	f.Add(uint64(7), "\x01a", "", uint64(7), "", "\x01a")
	f.Fuzz(func(t *testing.T, idA uint64, a1, a2 string, idB uint64, b1, b2 string) {
		lists := [][]string{{a1, a2}, {b1, b2}, {a1 + a2}, {b1}, nil}
		ids := []uint64{idA, idB, idA, idB, idA}
		h := hasher{seed: Seed{3}}
		var keys []limit.Key
		for i, parts := range lists {
			id, got := decodeKey(t, encodeKey(nil, ids[i], parts))
			if id != ids[i] || !slices.Equal(got, parts) {
				t.Fatalf("%x %q is encoded as %x %q", ids[i], parts, id, got)
			}
			keys = append(keys, h.hash(ids[i], parts))
		}
		for i := range keys {
			for j := range i {
				if same := ids[i] == ids[j] && slices.Equal(lists[i], lists[j]); same != (keys[i] == keys[j]) {
					t.Fatalf("%x %q and %x %q: keys %v and %v", ids[i], lists[i], ids[j], lists[j], keys[i], keys[j])
				}
			}
		}
	})
}
