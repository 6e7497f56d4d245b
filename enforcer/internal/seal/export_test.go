package seal

import (
	"io"
	"net"
)

// MaxSessions is for tests of the bound.
const MaxSessions = maxSessions

// NewSealerWithSalts returns a Sealer whose salts repeat one byte, which counts
// up from first.
func NewSealerWithSalts(ring *Ring, first byte) *Sealer {
	s := NewSealer(ring)
	s.random = func(salt []byte) {
		for i := range salt {
			salt[i] = first
		}
		first++
	}
	return s
}

// Exhaust leaves the session of s with n more counts.
func (s *Sealer) Exhaust(n uint64) { s.current.Load().count.Store(maxCount - n) }

// Sessions returns how many sessions o knows.
func (o *Opener) Sessions() int { return len(o.sessions) }

// Window is the memory of counts, for tests of it alone.
type Window struct{ w window }

const WindowSize = windowSize

func (w *Window) Fresh(n uint64) bool { return w.w.fresh(n) }
func (w *Window) Mark(n uint64)       { w.w.mark(n) }

// Pair returns both ends of a stream with given greetings.
func Pair(client, server net.Conn, ring *Ring, clientGreeting, serverGreeting []byte) (c, s *Conn) {
	c, s = &Conn{Conn: client, ring: ring}, &Conn{Conn: server, ring: ring}
	salt := append(append([]byte(nil), clientGreeting...), serverGreeting...)
	c.derive(ring.load(), salt, purposeClient, purposeServer)
	s.derive(ring.load(), salt, purposeServer, purposeClient)
	return c, s
}

// ReadRecords reads the records of a direction until an error.
func ReadRecords(from io.Reader, ring *Ring) error {
	c := &Conn{ring: ring}
	c.derive(ring.load(), make([]byte, 2*greetingSize), purposeServer, purposeClient)
	for {
		if _, err := c.in.next(from); err != nil {
			return err
		}
	}
}
