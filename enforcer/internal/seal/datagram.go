package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"

	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

const (
	// purposeDatagram is what keys of datagrams are derived for.
	purposeDatagram = "sluice gossip datagram 2"

	// maxCount ends a session: a fresh salt comes before a key is worn out.
	maxCount = 1 << 32

	// maxSessions bounds the sessions that an Opener knows: one for each enforcer
	// of the largest pool, and as many again while a key rotates.
	maxSessions = 2048
)

// Sealer makes datagrams. It is safe for concurrent use. Make one with NewSealer.
type Sealer struct {
	ring   *Ring
	random func(salt []byte) // fills a salt

	current atomic.Pointer[sending]
	renewal sync.Mutex // guards the making of a session
}

// sending is a session: a salt, the key derived from it, and the count so far.
type sending struct {
	key   gossipkey.Key
	salt  [saltSize]byte
	aead  cipher.AEAD
	count atomic.Uint64
}

// NewSealer returns a Sealer for the keys of a ring; a nil ring seals nothing.
func NewSealer(ring *Ring) *Sealer {
	return &Sealer{ring: ring, random: func(salt []byte) { _, _ = rand.Read(salt) }} // never fails
}

// Seal appends a datagram with the payload to dst, which must not overlap it.
// It allocates nothing when dst has room for Overhead more bytes than the payload.
func (s *Sealer) Seal(dst []byte, channel Channel, payload []byte) []byte {
	keys := s.ring.load()
	if keys == nil {
		at := len(dst)
		dst = append(dst, versionPlain, byte(channel))
		dst = binary.BigEndian.AppendUint32(dst, checksum(dst[at:], payload))
		return append(dst, payload...)
	}
	session, count := s.next(keys)
	at := len(dst)
	dst = append(dst, versionSealed, byte(channel))
	dst = append(dst, session.salt[:]...)
	dst = binary.BigEndian.AppendUint64(dst, count)
	header := dst[at:]
	return session.aead.Seal(dst, header[headerSize-nonceSize:], payload, header)
}

// next returns a session of the key that seals, and a count that nobody else gets.
func (s *Sealer) next(keys *keySet) (*sending, uint64) {
	for {
		session := s.current.Load()
		if session != nil && session.key == keys.first() {
			if count := session.count.Add(1); count <= maxCount {
				return session, count
			}
		}
		s.renew(session, keys)
	}
}

// renew replaces the session old, unless somebody else just did.
func (s *Sealer) renew(old *sending, keys *keySet) {
	s.renewal.Lock()
	defer s.renewal.Unlock()
	if s.current.Load() != old {
		return
	}
	session := &sending{key: keys.first()}
	s.random(session.salt[:])
	session.aead = mustDerive(session.key, session.salt[:], purposeDatagram)
	s.current.Store(session)
}

// mustDerive is Derive for a key of a ring: NewRing has tried it.
func mustDerive(k gossipkey.Key, salt []byte, purpose string) cipher.AEAD {
	aead, err := k.Derive(salt, purpose)
	if err != nil {
		panic(err)
	}
	return aead
}

// Opener opens datagrams. It is not safe for concurrent use. Make one with
// NewOpener.
type Opener struct {
	ring     *Ring
	keys     *keySet // those that the sessions were found with
	sessions map[[saltSize]byte]*receiving
	opened   uint64 // orders the sessions by their last use
	spare    []byte // a copy of a datagram, while keys are tried on it
}

// receiving is a session of somebody else.
type receiving struct {
	key    gossipkey.Key
	aead   cipher.AEAD
	window window
	used   uint64 // Opener.opened when it was used last
}

// NewOpener returns an Opener for the keys of a ring; with a nil ring it takes
// plain datagrams only.
func NewOpener(ring *Ring) *Opener {
	return &Opener{ring: ring, sessions: map[[saltSize]byte]*receiving{}}
}

// Open returns the payload of a datagram, which it decrypts in place: it is valid
// as long as the datagram's memory is, and after an error that holds nothing of
// use. The error is one of this package's.
func (o *Opener) Open(datagram []byte) (Channel, []byte, error) {
	if len(datagram) < 2 {
		return 0, nil, ErrGarbled
	}
	keys := o.ring.load()
	if keys != o.keys {
		o.rekey(keys)
	}
	channel := Channel(datagram[1])
	var payload []byte
	var err error
	switch {
	case datagram[0] == versionPlain && keys == nil:
		payload, err = openPlain(datagram)
	case datagram[0] == versionPlain:
		err = ErrUnsealed
	case datagram[0] == versionSealed && keys != nil:
		payload, err = o.openSealed(datagram)
	case datagram[0] == versionSealed:
		err = ErrNoKey
	default:
		err = ErrVersion
	}
	if err == nil && !channel.known() {
		err = ErrGarbled
	}
	return channel, payload, err
}

func openPlain(datagram []byte) ([]byte, error) {
	const at = 2 + crcSize
	if len(datagram) < at || binary.BigEndian.Uint32(datagram[2:]) != checksum(datagram[:2], datagram[at:]) {
		return nil, ErrGarbled
	}
	return datagram[at:], nil
}

func (o *Opener) openSealed(datagram []byte) ([]byte, error) {
	if len(datagram) < Overhead {
		return nil, ErrGarbled
	}
	salt := [saltSize]byte(datagram[2:])
	count := binary.BigEndian.Uint64(datagram[2+saltSize:])
	session := o.sessions[salt]
	if session == nil {
		return o.openFirst(datagram, salt, count)
	}
	if !session.window.fresh(count) {
		return nil, ErrReplayed
	}
	payload, err := open(session.aead, datagram)
	if err != nil {
		return nil, ErrForged
	}
	o.use(session, count)
	return payload, nil
}

// openFirst tries every key on the first datagram of a session. Nothing is
// remembered of one that no key opens.
func (o *Opener) openFirst(datagram []byte, salt [saltSize]byte, count uint64) ([]byte, error) {
	o.spare = append(o.spare[:0], datagram...)
	for i, key := range o.keys.keys {
		if i > 0 {
			copy(datagram, o.spare) // the attempt before has cleared it
		}
		session := &receiving{key: key, aead: mustDerive(key, salt[:], purposeDatagram)}
		payload, err := open(session.aead, datagram)
		if err != nil {
			continue
		}
		if len(o.sessions) >= maxSessions {
			o.evict()
		}
		o.sessions[salt] = session
		o.use(session, count)
		return payload, nil
	}
	return nil, ErrForged
}

func open(aead cipher.AEAD, datagram []byte) ([]byte, error) {
	header, ciphertext := datagram[:headerSize], datagram[headerSize:]
	return aead.Open(ciphertext[:0], header[headerSize-nonceSize:], ciphertext, header)
}

func (o *Opener) use(session *receiving, count uint64) {
	o.opened++
	session.used = o.opened
	session.window.mark(count)
}

// evict forgets the session that was used the longest ago.
func (o *Opener) evict() {
	var oldest [saltSize]byte
	least := uint64(math.MaxUint64)
	for salt, session := range o.sessions {
		if session.used < least {
			oldest, least = salt, session.used
		}
	}
	delete(o.sessions, oldest)
}

// rekey forgets the sessions of keys that are no longer in force.
func (o *Opener) rekey(keys *keySet) {
	o.keys = keys
	for salt, session := range o.sessions {
		if !keys.has(session.key) {
			delete(o.sessions, salt)
		}
	}
}
