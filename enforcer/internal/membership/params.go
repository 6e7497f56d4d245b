package membership

import (
	"time"

	"github.com/hashicorp/memberlist"
)

// How long a death goes unnoticed. With P = probeInterval, M = suspicionMult and N
// enforcers, of whom each probes another one every P, in turn, in random order:
//
//	first probe of the dead one   P/2 for N = 2, about 1.6 P for many, seldom 5 P
//	until it is suspect           P
//	until it is dead              S = M · max(1, log10 N) · P
//	until all know                2 to 4 times gossipEvery
//
// which is 0.75 s for up to ten, 1.3 s for a hundred, and under 2 s in the worst of
// many runs (docs/decisions/0006-membership.md).
//
// A process that is paused, by its garbage collector or by a CPU limit, is not dead
// if it comes back in time to say so: a suspicion that begins with the pause ends
// P + S later, at 600 ms or more, and what refutes it needs a few gossipEvery. A
// pause of 300 ms, the goal, and even one of 400 ms goes by unseen.
const (
	probeInterval = 150 * time.Millisecond
	suspicionMult = 3

	// probeTimeout is when an answer counts as late, and three others are asked to
	// try. Twice that must be within probeInterval, so that they can say in time that
	// they had no answer either: else memberlist takes itself to be ill.
	probeTimeout = 60 * time.Millisecond

	gossipEvery = 75 * time.Millisecond

	// retransmitMult · ceil(log10(N+1)) is how often each enforcer repeats a piece of
	// news. With k repeats a fraction of about exp(-k) never hears of it, and a
	// refutation that is missed is a death; so it is twice the default. It costs
	// nothing while there is no news.
	retransmitMult = 8

	// resync is how often two enforcers compare all that they know, to repair what
	// was missed all the same.
	resync = 10 * time.Second

	// streamTimeout limits opening a stream, and using it.
	streamTimeout = 2 * time.Second

	// deadFor is how long memberlist remembers the dead, lest an enforcer that has
	// not heard of it brings one back.
	deadFor = 30 * time.Second

	// maxPad bounds the padding of an enforcer's meta data, in bytes.
	//
	// memberlist's queue of news drops an entry when another one of the same length
	// comes in at the wrong moment (hashicorp/memberlist#263 and #322). What enforcers
	// with names of one length say of themselves has one length, so that refutations
	// were lost, once in some hundred pauses of 400 ms. So each pads it to a length of
	// its own.
	maxPad = 127
)

// config returns how memberlist is to work.
func config(o Options, port uint16, t memberlist.Transport, d *delegate) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = o.Name
	c.Transport = t
	c.BindPort, c.AdvertisePort = int(port), int(port)
	c.Delegate, c.Events, c.Conflict = d, d, d
	c.Logger = debugLogger(o.Log)

	c.ProbeInterval, c.ProbeTimeout = probeInterval, probeTimeout
	c.SuspicionMult = suspicionMult
	// Suspicions do not last longer while others have not confirmed them: with three
	// enforcers there is hardly anybody to do so.
	c.SuspicionMaxTimeoutMult = 1
	// An enforcer that believes itself ill gives others twice the time, not eight
	// times: half of a pool may die at once, which looks like being ill.
	c.AwarenessMaxMultiplier = 2
	c.GossipInterval, c.GossipNodes = gossipEvery, 4
	c.RetransmitMult = retransmitMult
	c.GossipToTheDeadTime = deadFor
	// A name of somebody who died is free at once. (Zero would mean never.)
	c.DeadNodeReclaimTime = time.Nanosecond
	c.PushPullInterval = resync
	c.TCPTimeout = streamTimeout
	c.UDPBufferSize = MaxPacket
	// The Link encrypts, and what it encrypts is short.
	c.EnableCompression = false
	return c
}
