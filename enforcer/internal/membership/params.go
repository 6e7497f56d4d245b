package membership

import (
	"time"

	"github.com/hashicorp/memberlist"
)

var (
	probeInterval = 100 * time.Millisecond
	probeTimeout  = 40 * time.Millisecond
	suspicionMult = 5
	gossipEvery   = 50 * time.Millisecond
	streamTimeout = 2 * time.Second
)

var Aware, Indirect, MaxMult, Fan = 2, 3, 1, 4

func config(o Options, port uint16, t memberlist.Transport, d *delegate) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = o.Name
	c.Transport = t
	c.BindPort, c.AdvertisePort = int(port), int(port)
	c.Delegate, c.Events, c.Conflict = d, d, d
	c.Logger = debugLogger(o.Log)

	c.ProbeInterval = probeInterval
	c.ProbeTimeout = probeTimeout
	c.IndirectChecks = Indirect
	c.SuspicionMult = suspicionMult
	c.SuspicionMaxTimeoutMult = MaxMult
	c.AwarenessMaxMultiplier = Aware
	c.GossipInterval = gossipEvery
	c.GossipNodes = Fan
	c.RetransmitMult = 8
	c.PushPullInterval = 10 * time.Second
	c.TCPTimeout = streamTimeout
	c.GossipToTheDeadTime = 30 * time.Second
	c.DeadNodeReclaimTime = 1
	c.UDPBufferSize = MaxPacket
	c.EnableCompression = false
	return c
}
