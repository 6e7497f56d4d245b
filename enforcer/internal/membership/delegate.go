package membership

import (
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// The first byte of an enforcer's meta data says whether it has said that it will
// stop. The rest is padding, see maxPad; readers ignore it, so that there can be
// more one day.
const (
	metaStays   = 'S'
	metaLeaving = 'L'
)

// delegate is what memberlist calls, with its lock held: it must not call back.
type delegate struct{ m *Membership }

// NotifyJoin implements memberlist.EventDelegate.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.heard(n, true) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.heard(n, true) }

// NotifyLeave implements memberlist.EventDelegate: n left or died.
func (d *delegate) NotifyLeave(n *memberlist.Node) { d.heard(n, false) }

func (d *delegate) heard(n *memberlist.Node, alive bool) {
	leaving := len(n.Meta) > 0 && n.Meta[0] == metaLeaving
	d.m.mu.Lock()
	d.m.roster.heard(n.Name, addressOf(n), alive, leaving, time.Now())
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
	meta := make([]byte, 1+d.m.pad)
	meta[0] = metaStays
	if d.m.roster.self.leaving {
		meta[0] = metaLeaving
	}
	return meta
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
