// Package gossipkey is the keys that the enforcers of a pool share: what they are,
// and how a key file has them. The manager makes them, the enforcers seal with
// what is derived from them.
package gossipkey

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

const (
	// Size is that of a key in bytes.
	Size = 32

	// Max is the most keys that a pool may have at a time: whatever does not
	// open with one of them has been tried with all.
	Max = 4
)

// howToMakeOne ends every complaint about a key.
const howToMakeOne = "write 32 random bytes in base64 on a line of its own, as `openssl rand -base64 32` prints them"

// Key is a secret that the enforcers of a pool share. Its text is a fingerprint,
// which does not give the secret away.
type Key struct{ secret [Size]byte }

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

// Derive makes a cipher for one salt and purpose.
func (k Key) Derive(salt []byte, purpose string) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, k.secret[:], salt, purpose, Size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// New makes a key of what random yields.
func New(random io.Reader) (Key, error) {
	var k Key
	_, err := io.ReadFull(random, k.secret[:])
	return k, err
}

// Format writes keys as Parse reads them, in their order.
func Format(keys []Key) []byte {
	var text []byte
	for _, k := range keys {
		text = append(base64.StdEncoding.AppendEncode(text, k.secret[:]), '\n')
	}
	return text
}

// Parse reads keys in base64, one a line; empty lines and those that begin
// with '#' do not count. It returns 1 to Max different keys, or an error that
// names the line and never quotes it.
func Parse(text []byte) ([]Key, error) {
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
		case len(secret) != Size:
			return nil, fmt.Errorf("line %d has a key of %d bytes: %s", number, len(secret), howToMakeOne)
		case len(keys) == Max:
			return nil, fmt.Errorf("line %d has a key too many: leave at most %d, the one that seals first", number, Max)
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
