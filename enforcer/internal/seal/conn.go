package seal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A stream begins with a greeting from each side:
//
//	version 1 | channel 1 | gossip port 2 | salt 16
//
// The client speaks first. Both greetings together are the salt of two keys, one
// for each direction, so that a recorded stream, a stream that is sent back to
// its sender, and a changed greeting open nothing. Then each side sends an empty
// record, which proves that it has a key, and after that records follow; another
// empty one is the end. Plain streams have the same form, with salts of zeros.
const (
	greetingSize = 4 + saltSize

	purposeClient = "sluice gossip stream 2 from client"
	purposeServer = "sluice gossip stream 2 from server"

	// farewell bounds the wait for room for the record that ends a stream.
	farewell = 100 * time.Millisecond
)

// Conn is a stream of records in both directions. As a net.Conn it is a stream of
// bytes: use either WriteRecord and ReadRecord, or Write and Read. Like every
// net.Conn it is safe for concurrent use, but a Write that timed out ends the
// stream. Make one with Client or Server.
type Conn struct {
	net.Conn
	ring    *Ring
	channel Channel
	port    uint16 // the other side's

	reading sync.Mutex // guards in and left
	in      reader
	left    []byte // of the last record that was read

	writing sync.Mutex // guards out
	out     writer
}

// Client greets the other side of a stream that this side opened, on a channel
// and with the port that this side takes gossip at. It returns after the other
// side has proved that it has a key. The caller sets the deadline, and closes
// conn after an error.
func Client(conn net.Conn, ring *Ring, channel Channel, port uint16) (*Conn, error) {
	c := &Conn{Conn: conn, ring: ring, channel: channel}
	keys := ring.load()
	own := greeting(keys, channel, port)
	if _, err := conn.Write(own); err != nil {
		return nil, err
	}
	theirs, err := c.greeted(keys)
	if err != nil {
		return nil, err
	}
	if Channel(theirs[1]) != channel {
		return nil, ErrGarbled
	}
	c.derive(keys, append(own, theirs...), purposeClient, purposeServer)
	if err := c.proof(); err != nil {
		return nil, err
	}
	if err := c.WriteRecord(nil); err != nil {
		return nil, err
	}
	return c, nil
}

// Server answers the greeting on a stream that the other side opened. It returns
// after the other side has proved that it has a key. The caller sets the
// deadline, and closes conn after an error.
func Server(conn net.Conn, ring *Ring, port uint16) (*Conn, error) {
	c := &Conn{Conn: conn, ring: ring}
	keys := ring.load()
	theirs, err := c.greeted(keys)
	if theirs == nil {
		return nil, err
	}
	// Whoever has another version or no key is told so by the answer's first byte.
	c.channel = Channel(theirs[1])
	own := greeting(keys, c.channel, port)
	if _, writeErr := conn.Write(own); err == nil {
		err = writeErr
	}
	if err == nil && !c.channel.known() {
		err = ErrGarbled
	}
	if err != nil {
		return nil, err
	}
	c.derive(keys, append(theirs, own...), purposeServer, purposeClient)
	if err := c.WriteRecord(nil); err != nil {
		return nil, err
	}
	if err := c.proof(); err != nil {
		return nil, err
	}
	return c, nil
}

func greeting(keys *keySet, channel Channel, port uint16) []byte {
	b := make([]byte, greetingSize)
	b[0], b[1] = versionPlain, byte(channel)
	binary.BigEndian.PutUint16(b[2:], port)
	if keys != nil {
		b[0] = versionSealed
		_, _ = rand.Read(b[4:]) // never fails
	}
	return b
}

// greeted reads the other side's greeting. It returns one with the wrong version
// too, together with the error.
func (c *Conn) greeted(keys *keySet) ([]byte, error) {
	b := make([]byte, greetingSize)
	if _, err := io.ReadFull(c.Conn, b); err != nil {
		return nil, fmt.Errorf("no greeting: %w", err)
	}
	c.port = binary.BigEndian.Uint16(b[2:])
	switch {
	case b[0] == versionPlain && keys != nil:
		return b, ErrUnsealed
	case b[0] == versionSealed && keys == nil:
		return b, ErrNoKey
	case b[0] != versionPlain && b[0] != versionSealed:
		return b, ErrVersion
	}
	return b, nil
}

// derive prepares both directions. Which of its keys the other side seals with,
// its proof tells.
func (c *Conn) derive(keys *keySet, salt []byte, sends, receives string) {
	if keys == nil {
		return
	}
	c.out.key = keys.first()
	c.out.aead = mustDerive(c.out.key, salt, sends)
	for _, key := range keys.keys {
		c.in.candidates = append(c.in.candidates, candidate{key, mustDerive(key, salt, receives)})
	}
	c.out.seen, c.in.seen = keys, keys
}

// proof reads the record that proves that the other side has a key.
func (c *Conn) proof() error {
	c.reading.Lock()
	defer c.reading.Unlock()
	record, err := c.in.next(c.Conn)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the other side hung up on the greeting, as it does when it has none of the keys here: %w", err)
	case err == nil && len(record) > 0:
		return ErrGarbled
	}
	return err
}

// Channel returns what the stream is for.
func (c *Conn) Channel() Channel { return c.channel }

// PeerPort returns the port that the other side takes gossip at.
func (c *Conn) PeerPort() uint16 { return c.port }

// Outdated says that this side would seal a new stream with another key.
func (c *Conn) Outdated() bool {
	keys := c.ring.load()
	return keys != nil && keys.first() != c.out.key
}

// WriteRecord sends one record of at most MaxRecord bytes; an empty one tells the
// other side that nothing follows.
func (c *Conn) WriteRecord(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.writeRecord(b)
}

func (c *Conn) writeRecord(b []byte) error {
	if err := c.out.revoked(c.ring); err != nil {
		return err
	}
	return c.out.write(c.Conn, b)
}

// ReadRecord returns the next record, which is valid until the next call, or
// io.EOF when the other side has ended the stream. A stream that was cut off
// returns another error.
func (c *Conn) ReadRecord() ([]byte, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.readRecord()
}

func (c *Conn) readRecord() ([]byte, error) {
	record, err := c.in.next(c.Conn)
	if err == nil {
		err = c.in.revoked(c.ring)
	}
	if err != nil {
		return nil, err
	}
	if len(record) == 0 {
		c.in.ended = true
		return nil, io.EOF
	}
	return record, nil
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	if len(c.left) == 0 {
		var err error
		if c.left, err = c.readRecord(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	sent := 0
	for len(b) > 0 {
		record := b[:min(len(b), MaxRecord)]
		if err := c.writeRecord(record); err != nil {
			return sent, err
		}
		sent += len(record)
		b = b[len(record):]
	}
	return sent, nil
}

// Close ends the stream. What was written before is delivered; a Write that is
// under way is cut off.
func (c *Conn) Close() error {
	if c.writing.TryLock() {
		_ = c.SetWriteDeadline(time.Now().Add(farewell))
		_ = c.writeRecord(nil) // the other side sees that it is closed in any case
		c.writing.Unlock()
	}
	return c.Conn.Close()
}
