package membership

import (
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// meta is what an enforcer says of itself to all others. Its first byte says whether
// it will stop, the next how long its zone's name is, which follows. The rest is
// padding, see maxPad; readers ignore it, so that there can be more one day. What
// releases without zones say reads as none.
type meta struct {
	leaving bool
	zone    string // up to maxZone bytes; empty where it is not known
}

const (
	metaStays   = 'S'
	metaLeaving = 'L'

	maxZone = 63 // as of any value of a label
)

// encode writes m with so many bytes of padding.
func (m meta) encode(pad int) []byte {
	b := append([]byte{metaStays, byte(len(m.zone))}, m.zone...)
	if m.leaving {
		b[0] = metaLeaving
	}
	return append(b, make([]byte, pad)...)
}

// decodeMeta reads what it can, and takes the rest for what is usual.
func decodeMeta(b []byte) (m meta) {
	m.leaving = len(b) > 0 && b[0] == metaLeaving
	if len(b) > 1 {
		if n := int(b[1]); n <= min(maxZone, len(b)-2) {
			m.zone = string(b[2 : 2+n])
		}
	}
	return m
}

// delegate is what memberlist calls, with its lock held: it must not call back.
type delegate struct{ m *Membership }

// NotifyJoin implements memberlist.EventDelegate.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.heard(n, true) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.heard(n, true) }

// NotifyLeave implements memberlist.EventDelegate: n left or died.
func (d *delegate) NotifyLeave(n *memberlist.Node) { d.heard(n, false) }

func (d *delegate) heard(n *memberlist.Node, alive bool) {
	d.m.mu.Lock()
	d.m.roster.heard(n.Name, addressOf(n), alive, decodeMeta(n.Meta), time.Now())
	d.m.mu.Unlock()
	d.m.wake()
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	now := time.Now()
	d.m.mu.Lock()
	err := d.m.clashes.notice(existing.Name, addressOf(existing), addressOf(other), now)
	if err != nil {
		d.m.reports = append(d.m.reports, err)
	}
	if existing.Name == d.m.roster.self.name {
		d.m.unheard = true // they hold on to the other one
	}
	d.m.mu.Unlock()
	d.m.wake()
}

// NodeMeta implements memberlist.Delegate.
func (d *delegate) NodeMeta(int) []byte {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	return d.m.roster.self.encode(d.m.pad)
}

// NotifyMsg implements memberlist.Delegate: membership has no messages of its own.
func (d *delegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (d *delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (d *delegate) MergeRemoteState([]byte, bool) {}

func addressOf(n *memberlist.Node) netip.AddrPort {
	a, _ := netip.AddrFromSlice(n.Addr)
	return netip.AddrPortFrom(a.Unmap(), n.Port)
}
