package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

// A record is
//
//	length of the rest 4 | ciphertext | tag 16     sealed
//	length of the rest 4 | crc32c 4 | payload      plain
//
// with numbers in big-endian. The nonce is the number of the record in its
// direction, from 0; the length is authenticated with the ciphertext, and the
// checksum covers it.
const (
	// MaxRecord is the most payload of a record in bytes.
	MaxRecord = 64 << 10

	lengthSize = 4

	// RecordOverhead is the most bytes that a record adds to its payload.
	RecordOverhead = lengthSize + tagSize
)

// buffers are as large as the largest record. Only a record on its way has one,
// so that a thousand idle streams cost nothing.
var buffers = sync.Pool{New: func() any { return new([MaxRecord + RecordOverhead]byte) }}

type buffer = [MaxRecord + RecordOverhead]byte

// lane is what both directions of a stream have.
type lane struct {
	key   gossipkey.Key
	aead  cipher.AEAD // nil: plain
	nonce [nonceSize]byte
	seen  *keySet // the last one that was seen to have the key
	err   error   // ends the direction
}

// step makes the next nonce.
func (l *lane) step() {
	binary.BigEndian.PutUint64(l.nonce[4:], binary.BigEndian.Uint64(l.nonce[4:])+1)
}

// revoked returns ErrRevoked once the key is no longer one of the ring's.
func (l *lane) revoked(ring *Ring) error {
	if keys := ring.load(); keys != l.seen {
		if !keys.has(l.key) {
			return ErrRevoked
		}
		l.seen = keys
	}
	return nil
}

// writer sends records.
type writer struct{ lane }

// write sends one record in one piece. A record that was sent in part ends the
// direction.
func (w *writer) write(to io.Writer, payload []byte) error {
	if w.err != nil {
		return w.err
	}
	if len(payload) > MaxRecord {
		return errors.New("a record of more than 65536 bytes")
	}
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	b := buf[:lengthSize]
	if w.aead == nil {
		binary.BigEndian.PutUint32(b, uint32(crcSize+len(payload)))
		b = binary.BigEndian.AppendUint32(b, checksum(b, payload))
		b = append(b, payload...)
	} else {
		binary.BigEndian.PutUint32(b, uint32(len(payload)+tagSize))
		b = w.aead.Seal(b, w.nonce[:], payload, b)
		w.step()
	}
	_, w.err = to.Write(b)
	return w.err
}

// candidate is a key that the other side may be using.
type candidate struct {
	key  gossipkey.Key
	aead cipher.AEAD
}

// reader receives records. A read that times out can be repeated.
type reader struct {
	lane
	candidates []candidate // until the first record tells which one it is
	ended      bool        // the other side said that nothing follows

	length [lengthSize]byte
	body   *buffer // nil between two records
	have   int     // bytes of the record that have come, with the length
}

// next returns the payload of the next record, valid until the next call.
func (r *reader) next(from io.Reader) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.ended {
		return nil, io.EOF
	}
	if r.have == 0 && r.body != nil {
		buffers.Put(r.body)
		r.body = nil
	}
	if err := r.fill(from, r.length[:], 0); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(r.length[:]))
	least := crcSize
	if r.aead != nil || r.candidates != nil {
		least = tagSize
	}
	if size < least || size > MaxRecord+least {
		return nil, r.fail(ErrGarbled)
	}
	if r.body == nil {
		r.body = buffers.Get().(*buffer)
	}
	if err := r.fill(from, r.body[:size], lengthSize); err != nil {
		return nil, err
	}
	r.have = 0
	payload, err := r.open(r.body[:size])
	if err != nil {
		return nil, r.fail(err)
	}
	return payload, nil
}

// fill reads what is missing of b, which begins at byte start of the record.
func (r *reader) fill(from io.Reader, b []byte, start int) error {
	for r.have < start+len(b) {
		n, err := from.Read(b[r.have-start:])
		r.have += n
		if err != nil && r.have < start+len(b) {
			if errors.Is(err, io.EOF) {
				err = r.fail(io.ErrUnexpectedEOF)
			}
			return err
		}
	}
	return nil
}

// fail ends the direction with err.
func (r *reader) fail(err error) error {
	r.err = err
	if r.body != nil {
		buffers.Put(r.body)
		r.body = nil
	}
	return err
}

func (r *reader) open(body []byte) ([]byte, error) {
	if r.candidates != nil {
		return r.openFirst(body)
	}
	if r.aead == nil {
		if binary.BigEndian.Uint32(body) != checksum(r.length[:], body[crcSize:]) {
			return nil, ErrGarbled
		}
		return body[crcSize:], nil
	}
	payload, err := r.aead.Open(body[:0], r.nonce[:], body, r.length[:])
	if err != nil {
		return nil, ErrForged
	}
	r.step()
	return payload, nil
}

// openFirst finds out which key the other side seals with.
func (r *reader) openFirst(body []byte) ([]byte, error) {
	for _, c := range r.candidates {
		payload, err := c.aead.Open(nil, r.nonce[:], body, r.length[:])
		if err == nil {
			r.key, r.aead, r.candidates = c.key, c.aead, nil
			r.step()
			return payload, nil
		}
	}
	return nil, ErrForged
}
