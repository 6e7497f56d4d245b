package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

const (
	// KeySize is the size of a pool key in bytes.
	KeySize = 32

	// MaxKeys is the most keys that a pool may have at a time: whatever does not
	// open with one of them has been tried with all.
	MaxKeys = 4
)

// howToMakeOne ends every complaint about a key.
const howToMakeOne = "write 32 random bytes in base64 on a line of its own, as `openssl rand -base64 32` prints them"

// Key is a secret that the enforcers of a pool share. Its text is a fingerprint,
// which does not give the secret away.
type Key struct{ secret [KeySize]byte }

// String returns 8 hexadecimal digits that tell keys apart.
func (k Key) String() string {
	digest, err := hkdf.Key(sha256.New, k.secret[:], nil, "sluice gossip fingerprint", 4)
	if err != nil {
		return "unknown"
	}
	return hex.EncodeToString(digest)
}

// GoString returns the same as String.
func (k Key) GoString() string { return k.String() }

// derive makes a cipher for one salt and purpose.
func (k Key) derive(salt []byte, purpose string) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, k.secret[:], salt, purpose, KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// ParseKeys reads keys in base64, one a line; empty lines and those that begin
// with '#' do not count. It returns 1 to MaxKeys different keys, or an error that
// names the line and never quotes it.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		var key Key
		secret, err := base64.StdEncoding.AppendDecode(nil, line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d is not base64: %s", number, howToMakeOne)
		case len(secret) != KeySize:
			return nil, fmt.Errorf("line %d has a key of %d bytes: %s", number, len(secret), howToMakeOne)
		case len(keys) == MaxKeys:
			return nil, fmt.Errorf("line %d has a key too many: leave at most %d, the one that seals first", number, MaxKeys)
		}
		copy(key.secret[:], secret)
		if slices.Contains(keys, key) {
			return nil, fmt.Errorf("line %d repeats a key: leave each in once", number)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no key in it: %s", howToMakeOne)
	}
	return keys, nil
}

// Ring holds the keys of a pool, which may change at any time: the first one
// seals, and every one opens. A nil Ring has no keys: nothing is sealed. It is
// safe for concurrent use. Make one with NewRing.
type Ring struct{ current atomic.Pointer[keySet] }

// keySet does not change once it is in a Ring: another pointer is another set.
type keySet struct{ keys []Key }

func (s *keySet) first() Key { return s.keys[0] }

func (s *keySet) has(k Key) bool { return slices.Contains(s.keys, k) }

// NewRing returns a Ring of 1 to MaxKeys keys. An error beyond that means that
// the cryptography of this build is restricted.
func NewRing(keys ...Key) (*Ring, error) {
	r := &Ring{}
	if err := r.Set(keys); err != nil {
		return nil, err
	}
	// From here on deriving a key fails no more: it depends on nothing else.
	if _, err := keys[0].derive(make([]byte, saltSize), purposeDatagram); err != nil {
		return nil, fmt.Errorf("AES-256-GCM with a key from HKDF-SHA-256: %w", err)
	}
	return r, nil
}

// Set replaces the keys, 1 to MaxKeys of them.
func (r *Ring) Set(keys []Key) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return errors.New("a pool has 1 to 4 keys")
	}
	r.current.Store(&keySet{slices.Clone(keys)})
	return nil
}

// Keys returns the keys, the one that seals first; nothing for a nil Ring.
func (r *Ring) Keys() []Key {
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
