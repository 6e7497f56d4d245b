package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

const (
	// IdleInterval is the time between two ticks of a node that is idle.
	IdleInterval = 100 * time.Millisecond

	// lastTicks is how often the node ticks at the end: what it admitted last is
	// sent as often as anything else.
	lastTicks = 3

	// A driver that has read manyFrames at once looks again after shortPause, so
	// that the socket's buffer does not fill up; it reads at most maxBatch before
	// it does anything else.
	manyFrames = 64
	shortPause = time.Millisecond
	maxBatch   = 1024
)

// driver owns the node: it is the only caller of its methods, and the only reader
// of the socket.
//
// A wake-up of the process costs several times what it takes to handle a frame.
// So when a frame has come the driver does not wait for the next one, but looks
// after the next tick's time, when its peers' frames are all there; only after an
// interval without frames it waits for one again.
type driver struct {
	*Transport
	linking context.Context // of links

	names  map[netip.AddrPort]string
	byName map[string]*peer
	warned bool // that nothing is authenticated

	opener *seal.Opener
	in     []byte // the datagram that is being read
	out    []byte // the one that is being sent

	interval time.Duration
	sleeper  Sleeper // nil when the node is none
	ticked   time.Time
	next     time.Time // when the next tick is due, unless the node is idle
	pause    time.Time // the socket is left alone until then
	frames   int       // that came since the last wait
	timer    *time.Timer
}

// peer is one that frames are sent to.
type peer struct {
	address netip.AddrPort
	link    *link // nil until a frame does not fit a datagram
}

func newDriver(t *Transport, linking context.Context) *driver {
	d := &driver{
		Transport: t, linking: linking, opener: seal.NewOpener(t.opts.Keys), interval: gossip.Interval.Duration(),
		in:  make([]byte, maxPacket+1), // one more, to tell a longer datagram
		out: make([]byte, 0, maxPacket), timer: time.NewTimer(time.Hour),
	}
	d.sleeper, _ = t.opts.Node.(Sleeper)
	return d
}

// drive runs until ctx ends or the socket breaks.
func (d *driver) drive(ctx context.Context) error {
	defer context.AfterFunc(ctx, d.nudge)()
	defer d.timer.Stop()
	d.ticked = time.Now()
	d.next = d.ticked.Add(d.interval)
	for ctx.Err() == nil {
		d.work()
		err := d.drain()
		if err == nil {
			d.tick()
			err = d.wait()
		}
		if err != nil {
			return fmt.Errorf("gossip socket: %w", err)
		}
	}
	d.work()
	for range lastTicks {
		d.opts.Node.Tick(d.opts.Now(), d)
	}
	return nil
}

// work does the errands, and takes the newest list of peers.
func (d *driver) work() {
	select {
	case <-d.wake:
	default:
	}
	for {
		select {
		case f := <-d.errands:
			f(d)
		case peers := <-d.peers.resolved:
			d.setPeers(peers)
		default:
			return
		}
	}
}

// drain handles the datagrams that are there.
func (d *driver) drain() error {
	for i := range maxBatch {
		if !d.socket.ready() {
			return nil
		}
		// What is ready may turn out to be damaged, and then read waits all the same.
		if i == 0 {
			if err := d.socket.SetReadDeadline(time.Now().Add(d.interval)); err != nil {
				return err
			}
		}
		if err := d.read(); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil // or a nudge
		} else if err != nil {
			return err
		}
	}
	return nil
}

// read handles one datagram.
func (d *driver) read() error {
	n, from, dropped, err := d.socket.read(d.in)
	if err != nil {
		return err
	}
	d.frames++
	d.counters.dropped[socketFull].Add(uint64(dropped))
	d.datagram(from, d.in[:n])
	return nil
}

// tick ticks when it is time to.
func (d *driver) tick() {
	now := time.Now()
	if now.Before(d.due()) {
		return
	}
	d.opts.Node.Tick(d.opts.Now(), d)
	d.ticked = now
	if d.next = d.next.Add(d.interval); d.next.Before(now) {
		d.next = now.Add(d.interval) // what was missed is not made up for
	}
}

// due returns when the next tick is.
func (d *driver) due() time.Time {
	if d.asleep.Load() {
		return d.ticked.Add(d.idleInterval)
	}
	return d.next
}

// wait returns when there is something to do, or sooner.
func (d *driver) wait() error {
	if d.sleeper != nil {
		// In this order: whoever gives the node something to do after Idle was
		// called sees that the driver is asleep.
		d.asleep.Store(true)
		if !d.sleeper.Idle(d.opts.Now()) {
			d.asleep.Store(false)
		}
	}
	now, until := time.Now(), d.due()
	if !now.Before(until) {
		return nil
	}
	d.rest(now)
	if canProbe && now.Before(d.pause) {
		d.timer.Reset(min(until.Sub(now), d.pause.Sub(now)))
		select {
		case <-d.timer.C:
		case <-d.wake:
		}
		return nil
	}
	if err := d.socket.SetReadDeadline(until); err != nil {
		return err
	}
	// A nudge from before the deadline was set is in the channel, one from after
	// that has moved the deadline.
	if len(d.wake) > 0 {
		return nil
	}
	if err := d.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// rest sets how long the socket is left alone, if frames have come.
func (d *driver) rest(now time.Time) {
	switch {
	case d.frames >= manyFrames:
		d.pause = now.Add(shortPause)
	case d.frames > 0 && d.asleep.Load():
		d.pause = now.Add(d.interval)
	case d.frames > 0:
		d.pause = d.next
	}
	d.frames = 0
}

// datagram handles what has come from an address.
func (d *driver) datagram(from netip.AddrPort, b []byte) {
	size := len(b)
	if size > maxPacket {
		d.counters.drop(garbled)
		return
	}
	channel, payload, err := d.opener.Open(b)
	switch {
	case err != nil:
		if r, ok := reasonOf(err); ok {
			d.counters.drop(r)
		}
		d.log.about("datagram dropped", from, err)
	case channel == seal.Membership:
		d.side.deliver(from, payload, size)
	default:
		d.counters.receivedUDP.count(size)
		d.receive(from, payload)
	}
}

// receive gives the node a frame.
func (d *driver) receive(from netip.AddrPort, frame []byte) {
	name, ok := d.names[from]
	if !ok {
		name = from.String()
	}
	if err := d.opts.Node.Receive(d.opts.Now(), name, frame, d); err != nil {
		d.counters.refused.Add(1)
		d.log.about("gossip frame refused", from, err)
	}
}

// Send implements gossip.Outbox. A peer whose name has no address yet is not
// sent to.
func (d *driver) Send(to string, frame []byte) {
	p, ok := d.byName[to]
	switch {
	case !ok:
	case len(frame) <= MaxDatagram:
		d.out = d.sealer.Seal(d.out[:0], seal.Gossip, frame)
		if _, err := d.socket.WriteToUDPAddrPort(d.out, p.address); err != nil {
			d.counters.drop(sendFailed)
			return
		}
		d.counters.sentUDP.count(len(d.out))
	case len(frame) > MaxFrame:
		d.counters.drop(tooLong)
	default:
		if p.link == nil {
			p.link = newLink(d.Transport, p.address)
			d.streams.Go(func() { p.link.run(d.linking) })
		}
		if !p.link.push(frame) {
			d.counters.drop(queueFull)
		}
	}
}

func (d *driver) setPeers(peers []endpoint) {
	old := d.byName
	d.names, d.byName = map[netip.AddrPort]string{}, map[string]*peer{}
	list := make([]string, 0, len(peers))
	for _, p := range peers {
		if p.address.IsValid() {
			d.names[p.address] = p.name
			if known := old[p.name]; known != nil {
				d.byName[p.name] = known
				delete(old, p.name)
			} else {
				d.byName[p.name] = &peer{address: p.address}
			}
		}
		list = append(list, p.name)
	}
	for _, gone := range old {
		if gone.link != nil {
			gone.link.end()
		}
	}
	if len(list) > 0 && d.opts.Keys == nil && !d.warned {
		d.warned = true
		d.opts.Log.Warn("gossip is not authenticated: whoever reaches the gossip port can read and change the counts; give every enforcer of the pool the same --gossip-key-file")
	}
	d.opts.Node.SetPeers(d.opts.Now(), list)
}

// hangUp ends the links after they have sent what waits. When that takes too long,
// it calls cutOff, which ends them at once.
func (d *driver) hangUp(cutOff func()) {
	defer time.AfterFunc(flushTime, cutOff).Stop()
	for _, p := range d.byName {
		if p.link != nil {
			p.link.end()
		}
	}
	for _, p := range d.byName {
		if p.link != nil {
			<-p.link.ended
		}
	}
}

// isClosed says that an error is only about something that was closed.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
