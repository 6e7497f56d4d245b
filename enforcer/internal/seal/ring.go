package seal

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

// Ring holds the keys of a pool, which may change at any time: the first one
// seals, and every one opens. A nil Ring has no keys: nothing is sealed. It is
// safe for concurrent use. Make one with NewRing.
type Ring struct{ current atomic.Pointer[keySet] }

// keySet does not change once it is in a Ring: another pointer is another set.
type keySet struct{ keys []gossipkey.Key }

func (s *keySet) first() gossipkey.Key { return s.keys[0] }

func (s *keySet) has(k gossipkey.Key) bool { return slices.Contains(s.keys, k) }

// NewRing returns a Ring of 1 to gossipkey.Max keys. An error beyond that means that
// the cryptography of this build is restricted.
func NewRing(keys ...gossipkey.Key) (*Ring, error) {
	r := &Ring{}
	if err := r.Set(keys); err != nil {
		return nil, err
	}
	// From here on deriving a key fails no more: it depends on nothing else.
	if _, err := keys[0].Derive(make([]byte, saltSize), purposeDatagram); err != nil {
		return nil, fmt.Errorf("AES-256-GCM with a key from HKDF-SHA-256: %w", err)
	}
	return r, nil
}

// Set replaces the keys, 1 to gossipkey.Max of them.
func (r *Ring) Set(keys []gossipkey.Key) error {
	if len(keys) == 0 || len(keys) > gossipkey.Max {
		return errors.New("a pool has 1 to 4 keys")
	}
	r.current.Store(&keySet{slices.Clone(keys)})
	return nil
}

// Keys returns the keys, the one that seals first; nothing for a nil Ring.
func (r *Ring) Keys() []gossipkey.Key {
	if set := r.load(); set != nil {
		return slices.Clone(set.keys)
	}
	return nil
}

func (r *Ring) load() *keySet {
	if r == nil {
		return nil
	}
	return r.current.Load()
}
