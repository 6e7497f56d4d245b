package enforcer

import (
	"slices"
	"time"

	"github.com/sluice-dev/sluice/enforcer/admin"
	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// heardLately is how long after its last frame a peer counts as being there.
const heardLately = 2 * limit.Second

// state is the enforcer's account of itself, to somebody who knows the documents
// with some digests.
func (e *Enforcer) state(known []string) report.State {
	now := e.clock.Now()
	r := e.engine.Report()
	s := report.State{
		Node: e.opts.Node, Version: e.opts.Version, Started: e.started.Time(), Now: now.Time(),
		Ready: e.ready() == nil, Refused: e.policies.lastRefusal(),
		Peers: []report.Peer{},
	}
	if r.Snapshot == nil || !slices.Contains(known, r.Snapshot.Digest) {
		s.Policies = policiesOf(&r)
	}
	for _, k := range e.keys.Ring().Keys() {
		s.GossipKeys = append(s.GossipKeys, k.String())
	}
	if r.Snapshot != nil {
		s.Document = &report.Document{Digest: r.Snapshot.Digest, Since: r.Since.Time()}
	}
	for _, p := range r.Peers {
		peer := report.Peer{Address: p.Address, Zone: p.Zone}
		if p.Heard {
			peer.Node, peer.LastHeard = string(p.Name), new(time.Time)
			*peer.LastHeard = p.LastHeard.Time()
		}
		s.Peers = append(s.Peers, peer)
	}
	return s
}

// policiesOf lists the policies in force and what each of their limits did.
func policiesOf(r *engine.Report) []report.Policy {
	all := []report.Policy{}
	if r.Snapshot == nil {
		return all
	}
	for i := range r.Snapshot.Document.Policies {
		p := &r.Snapshot.Document.Policies[i]
		told := report.Policy{
			Namespace: p.Namespace, Name: p.Name, UID: p.UID, Generation: p.Generation,
			Digest: report.Digest(r.Snapshot.PolicyDigests[i]), Domain: p.Domain,
			Limits: make([]report.Usage, 0, len(p.Limits)),
		}
		for j := range p.Limits {
			id := policy.LimitID(p, &p.Limits[j])
			u := r.Usage[id]
			told.Limits = append(told.Limits, report.Usage{
				Name: p.Limits[j].Name, ActiveKeys: u.Active, Apart: p.Limits[j].Sharing == policy.Exact.String(), Admitted: u.Admitted, Limited: u.Limited,
				OverAdmitted: int64(1000 * r.Gossip.Over[id]), Capacity: capacityOf(&p.Limits[j]),
			})
		}
		all = append(all, told)
	}
	return all
}

// capacityOf returns how many thousandths of a token per second a limit grants to
// all requests together, or 0 when its clients do not share.
func capacityOf(l *policy.Limit) int64 {
	per, calendar, err := policy.ParsePer(l.Rate.Per)
	if len(l.Key) > 0 || err != nil {
		return 0
	}
	if calendar != 0 {
		per = calendar.Nominal()
	}
	return int64(1000 * float64(l.Rate.Requests) / per.Duration().Seconds())
}

// counts are the enforcer's metrics.
func (e *Enforcer) counts() admin.Counts {
	now := e.clock.Now()
	r, t := e.engine.Report(), e.transport.Stats()
	dropped := t.Dropped
	for reason, n := range map[string]uint64{
		"malformed": r.Gossip.Malformed + r.Lease.Malformed, "stranger": r.Gossip.Strange + r.Lease.Strange, "name_taken": r.Gossip.Clashing, "other_seed": r.Gossip.Foreign,
	} {
		dropped[reason] = n
	}
	c := admin.Counts{
		Keys: r.Store.Keys, MaxKeys: r.Store.MaxKeys, Evicted: r.Store.Evicted, Expired: r.Store.Expired, StoreBytes: r.Store.Bytes,
		Frames: []admin.Traffic{
			{Direction: "sent", Protocol: "udp", Frames: t.SentUDP.Frames, Bytes: t.SentUDP.Bytes},
			{Direction: "sent", Protocol: "tcp", Frames: t.SentTCP.Frames, Bytes: t.SentTCP.Bytes},
			{Direction: "received", Protocol: "udp", Frames: t.ReceivedUDP.Frames, Bytes: t.ReceivedUDP.Bytes},
			{Direction: "received", Protocol: "tcp", Frames: t.ReceivedTCP.Frames, Bytes: t.ReceivedTCP.Bytes},
		},
		Exact: admin.Exact{
			Counters: r.Lease.Books, Leases: r.Lease.Leases, Silent: r.Lease.Silent, Waits: r.Lease.Asked,
			Decided: map[string]uint64{"owner": r.Lease.Here, "lease": r.Lease.Leased, "late": r.Lease.Late, "unreachable": r.Lease.Alone, "full": r.Lease.Full},
		},
		PacketsSent: t.MembershipSent.Frames, PacketsReceived: t.MembershipReceived.Frames,
		FramesDropped: dropped, FramesPassedOn: r.Gossip.Passed, GossipKeys: len(e.keys.Ring().Keys()),
		ExpressionErrors: r.Failed, Version: e.opts.Version, Revision: e.opts.Revision,
	}
	if e.tls != nil {
		c.TLS = &admin.TLS{Expires: e.tls.Expires(), Stale: e.tls.Stale()}
	}
	if r.Snapshot != nil {
		c.Digest = r.Snapshot.Digest
	}
	for _, p := range r.Peers {
		if p.Heard && now.Sub(p.LastHeard) <= heardLately {
			c.Peers++
		}
	}
	for _, p := range policiesOf(&r) {
		for _, l := range p.Limits {
			c.Limits = append(c.Limits, admin.Usage{
				Namespace: p.Namespace, Policy: p.Name, Limit: l.Name,
				ActiveKeys: l.ActiveKeys, Admitted: l.Admitted, Limited: l.Limited, OverAdmitted: float64(l.OverAdmitted) / 1000,
			})
		}
	}
	return c
}
