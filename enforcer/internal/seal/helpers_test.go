package seal_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossipkey"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

// key returns the key of which all bytes are b.
func key(t testing.TB, b byte) gossipkey.Key {
	t.Helper()
	keys, err := gossipkey.Parse(line(b))
	if err != nil {
		t.Fatal(err)
	}
	return keys[0]
}

// line is how key(b) is written in a key file.
func line(b byte) []byte {
	text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, gossipkey.Size))
	return append([]byte(text), '\n')
}

// ring returns a Ring of keys; nil for none.
func ring(t testing.TB, keys ...byte) *seal.Ring {
	t.Helper()
	if len(keys) == 0 {
		return nil
	}
	var all []gossipkey.Key
	for _, b := range keys {
		all = append(all, key(t, b))
	}
	r, err := seal.NewRing(all...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// set puts other keys into a ring.
func set(t testing.TB, r *seal.Ring, keys ...byte) {
	t.Helper()
	if err := r.Set(ring(t, keys...).Keys()); err != nil {
		t.Fatal(err)
	}
}
