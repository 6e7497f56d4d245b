package transport

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

// complainEvery bounds how often what was dropped is logged.
const complainEvery = 10 * time.Second

// reason is why something was dropped.
type reason int

const (
	garbled reason = iota
	otherVersion
	unsealed
	noKey
	forged
	replayed
	tooLong
	socketFull
	queueFull
	unreachable
	sendFailed
	membershipFull
	tooManyConnections
	reasons // how many there are
)

// reasonNames are values of a metric's label: they do not change.
var reasonNames = [reasons]string{
	garbled:            "garbled",
	otherVersion:       "other_version",
	unsealed:           "unsealed",
	noKey:              "no_key",
	forged:             "forged",
	replayed:           "replayed",
	tooLong:            "too_long",
	socketFull:         "socket_full",
	queueFull:          "queue_full",
	unreachable:        "unreachable",
	sendFailed:         "send_failed",
	membershipFull:     "membership_full",
	tooManyConnections: "too_many_connections",
}

// reasonOf returns which reason an error of seal is; false for any other error.
func reasonOf(err error) (reason, bool) {
	for _, known := range []struct {
		err    error
		reason reason
	}{
		{seal.ErrGarbled, garbled},
		{seal.ErrVersion, otherVersion},
		{seal.ErrUnsealed, unsealed},
		{seal.ErrNoKey, noKey},
		{seal.ErrForged, forged},
		{seal.ErrRevoked, forged},
		{seal.ErrReplayed, replayed},
	} {
		if errors.Is(err, known.err) {
			return known.reason, true
		}
	}
	return 0, false
}

// Traffic counts frames, and their bytes with the envelopes.
type Traffic struct{ Frames, Bytes uint64 }

// Stats count since the start.
type Stats struct {
	SentUDP, SentTCP, ReceivedUDP, ReceivedTCP Traffic // gossip
	MembershipSent, MembershipReceived         Traffic // datagrams of the second conversation

	// Refused counts frames that arrived, and that the node could not use.
	Refused uint64

	// Dropped counts what was dropped on its way out or in, by reason: always the
	// same ones.
	//
	//	garbled              in: damaged, or sent by no enforcer
	//	other_version        in: an envelope of another version
	//	unsealed             in: without a seal, and there is a key here
	//	no_key               in: sealed, and there is no key here
	//	forged               in: no key here opens it
	//	replayed             in: it had come before
	//	socket_full          in: the enforcer did not read fast enough; Linux only
	//	membership_full      in: nobody takes the second conversation
	//	too_many_connections in: TCP connections
	//	too_long             out: more than MaxFrame bytes
	//	queue_full           out: too much waits for the peer's TCP connection
	//	unreachable          out: the peer takes no TCP connection
	//	send_failed          out: the operating system refused it, the connection broke, or the address is not ip:port
	Dropped map[string]uint64
}

// traffic is a Traffic that is being counted.
type traffic struct{ frames, bytes atomic.Uint64 }

func (t *traffic) count(bytes int) {
	t.frames.Add(1)
	t.bytes.Add(uint64(bytes))
}

func (t *traffic) load() Traffic { return Traffic{t.frames.Load(), t.bytes.Load()} }

type counters struct {
	sentUDP, sentTCP, receivedUDP, receivedTCP traffic
	membershipSent, membershipReceived         traffic
	refused                                    atomic.Uint64
	dropped                                    [reasons]atomic.Uint64
}

func (c *counters) drop(r reason) { c.dropped[r].Add(1) }

// Stats returns the counts so far.
func (t *Transport) Stats() Stats {
	c := &t.counters
	s := Stats{
		SentUDP: c.sentUDP.load(), SentTCP: c.sentTCP.load(), ReceivedUDP: c.receivedUDP.load(), ReceivedTCP: c.receivedTCP.load(),
		MembershipSent: c.membershipSent.load(), MembershipReceived: c.membershipReceived.load(),
		Refused: c.refused.Load(), Dropped: make(map[string]uint64, reasons),
	}
	for r, name := range reasonNames {
		s.Dropped[name] = c.dropped[r].Load()
	}
	return s
}

// complaints logs what was dropped, seldom. It is safe for concurrent use.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex // guards last
	last map[string]time.Time
}

// about logs that something with an address went wrong, unless it did so lately
// with the same message, and reason if there is one.
func (c *complaints) about(message string, from netip.AddrPort, err error) {
	now, key := time.Now(), message
	if r, ok := reasonOf(err); ok {
		key += reasonNames[r]
	}
	c.mu.Lock()
	lately := now.Sub(c.last[key]) < complainEvery
	if !lately {
		if c.last == nil {
			c.last = map[string]time.Time{}
		}
		c.last[key] = now
	}
	c.mu.Unlock()
	if !lately {
		c.log.Warn(message+"; more in the next seconds are only counted", "peer", from, "error", err)
	}
}
