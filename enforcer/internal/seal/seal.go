// Package seal puts what enforcers say to each other into envelopes: encrypted
// and authenticated with the pool's keys, or with a checksum when there are none.
// A Sealer and an Opener do that for datagrams, a Conn for a stream.
//
// Nobody chooses a nonce. Whoever seals makes up a random salt, derives a key of
// its own from the pool's key and that salt, and counts up from there: under one
// derived key every count is used once.
//
// docs/decisions/0005-gossip-transport.md says what this defends against, and
// what it does not.
package seal

import (
	"errors"
	"hash/crc32"
)

// Channel tells the conversations apart that share the sockets.
type Channel byte

// The channels.
const (
	Gossip     Channel = 1 // frames of enforcer/gossip
	Membership Channel = 2 // who lives
)

func (c Channel) known() bool { return c == Gossip || c == Membership }

// A datagram is
//
//	version 1 | channel 1 | salt 16 | counter 8 | ciphertext | tag 16   sealed
//	version 1 | channel 1 | crc32c 4 | payload                         plain
//
// with numbers in big-endian. Everything before the ciphertext is authenticated
// with it, and its last 12 bytes are the nonce. The checksum covers everything
// but itself.
const (
	versionPlain  = 1
	versionSealed = 2

	saltSize   = 16
	headerSize = 2 + saltSize + 8
	nonceSize  = 12
	tagSize    = 16
	crcSize    = 4

	// Overhead is the most bytes that an envelope adds to a datagram's payload.
	Overhead = headerSize + tagSize
)

// Why an envelope was not opened. Each says what to do about it, if it is not
// somebody else's doing.
var (
	// ErrGarbled: it has not the form of its version, or its checksum is wrong.
	ErrGarbled = errors.New("garbled: damaged on the way, or no enforcer sent it")

	// ErrVersion: its version is not known here.
	ErrVersion = errors.New("an envelope of another version: run one version of the enforcer in a pool")

	// ErrUnsealed: it is plain, and there is a key here.
	ErrUnsealed = errors.New("not sealed, and there is a key here: give every enforcer of the pool the same --gossip-key-file")

	// ErrNoKey: it is sealed, and there is no key here.
	ErrNoKey = errors.New("sealed, and there is no key here: give every enforcer of the pool the same --gossip-key-file")

	// ErrForged: no key here opens it.
	ErrForged = errors.New("not sealed with a key of this enforcer: it was forged, or the sender's --gossip-key-file has a first key that is not in the file here")

	// ErrReplayed: it was opened before, or is too old to tell.
	ErrReplayed = errors.New("repeated: this envelope was opened before, or is too old to tell")

	// ErrRevoked: the key of a stream is no longer one of the pool's.
	ErrRevoked = errors.New("the key of this stream was taken out of the key file")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the parts in their order.
func checksum(head, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, body)
}
