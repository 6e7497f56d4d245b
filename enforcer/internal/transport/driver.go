package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

const (
	// lastTicks is how often the node ticks at the end: what it admitted last is
	// sent as often as anything else.
	lastTicks = 3

	// maxBatch bounds the datagrams that are read before anything else is done.
	maxBatch = 1024

	// minSpan is the least time between two ticks when nothing else causes one.
	minSpan = gossip.Urgent / 4
)

// driver owns the node: it is the only caller of its methods, and the only reader
// of the socket.
//
// A wake-up of the process costs several times what it takes to handle a frame.
// So when a frame has come the driver does not wait for the next one, but looks
// after gossip.Urgent, when its peers' frames are all there; only after that time
// without frames, or when somebody waits for their answers, it waits for one again.
// Then it lets everybody else go first who is ready to run: what they have to say, and
// what comes meanwhile, leaves in the same frames. Where nobody is, nothing waits.
type driver struct {
	*Transport
	linking context.Context // of links

	peers  book
	warned bool // that nothing is authenticated

	opener *seal.Opener
	in     []byte // the datagram that is being read
	out    []byte // the one that is being sent

	due    time.Time // when the next tick is
	pause  time.Time // the socket is left alone until then
	frames int       // datagrams that came since the last wait
	heard  bool      // the node was given a frame since the last wait
	timer  *time.Timer
}

func newDriver(t *Transport, linking context.Context) *driver {
	return &driver{
		Transport: t, linking: linking, peers: newBook(), opener: seal.NewOpener(t.opts.Keys),
		in:  make([]byte, maxPacket+1), // one more, to tell a longer datagram
		out: make([]byte, 0, maxPacket), timer: time.NewTimer(time.Hour),
	}
}

// drive runs until ctx ends or the socket breaks.
func (d *driver) drive(ctx context.Context) error {
	defer context.AfterFunc(ctx, d.nudge)()
	defer d.timer.Stop()
	for ctx.Err() == nil {
		runtime.Gosched()
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

// work takes the newest list of peers, and does the errands.
func (d *driver) work() {
	select {
	case <-d.wake:
	default:
	}
	if list := d.list.Swap(nil); list != nil {
		d.setPeers(*list)
	}
	for {
		select {
		case f := <-d.errands:
			f(d)
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
			if err := d.socket.SetReadDeadline(time.Now().Add(gossip.Urgent.Duration())); err != nil {
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

// tick ticks when it is time to, and when the node was given a frame that it may
// have become busy by: it has not known of it when it said when to call it again.
// Otherwise it has the node say what somebody waits for.
func (d *driver) tick() {
	now := time.Now()
	left := d.due.Sub(now)
	asked := d.heard && left > gossip.Interval.Duration()
	hurried := d.hurried.Swap(false)
	if left > 0 && !asked && d.rest.Load() != woken {
		if hurried || d.heard {
			d.opts.Node.Flush(d.opts.Now(), d)
		}
		return
	}
	// Before Tick: whoever gives the node something to say that this Tick does not
	// find sees that the driver is going to rest.
	d.rest.Store(resting)
	next := max(d.opts.Node.Tick(d.opts.Now(), d), minSpan)
	if next <= gossip.Urgent {
		d.rest.Store(ticksSoon)
	}
	d.due = now.Add(next.Duration())
}

// wait returns when there is something to do, or sooner.
func (d *driver) wait() error {
	now := time.Now()
	if d.frames > 0 {
		d.pause = now.Add(gossip.Urgent.Duration())
	}
	d.frames, d.heard = 0, false
	if !now.Before(d.due) {
		return nil
	}
	if canProbe && now.Before(d.pause) && !d.prompt() {
		d.timer.Reset(min(d.due.Sub(now), d.pause.Sub(now)))
		select {
		case <-d.timer.C:
		case <-d.wake:
		}
		return nil
	}
	if err := d.socket.SetReadDeadline(d.due); err != nil {
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

// prompt says whether to wait for each frame.
func (d *driver) prompt() bool { return d.opts.Prompt != nil && d.opts.Prompt() }

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
	d.heard = true
	if err := d.opts.Node.Receive(d.opts.Now(), d.peers.nameOf(from), frame, d); err != nil {
		d.counters.refused.Add(1)
		d.log.about("gossip frame refused", from, err)
	}
}

// Send implements gossip.Outbox.
func (d *driver) Send(to string, frame []byte) {
	p, err := d.peers.find(to)
	switch {
	case err != nil:
		d.counters.drop(sendFailed)
		d.log.about("gossip to a peer whose address is not ip:port is dropped", netip.AddrPort{}, err)
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

func (d *driver) setPeers(list []string) {
	if err := d.peers.replace(list); err != nil {
		d.log.about("a peer is left out, because its address is not ip:port", netip.AddrPort{}, err)
	}
	if len(list) > 0 && d.opts.Keys == nil && !d.warned {
		d.warned = true
		d.opts.Log.Warn("gossip is not authenticated: whoever reaches the gossip port can read and change the counts; give every enforcer of the pool the same --gossip-key-file")
	}
}

// hangUp ends the links after they have sent what waits. When that takes too long,
// it calls cutOff, which ends them at once.
func (d *driver) hangUp(cutOff func()) {
	defer time.AfterFunc(flushTime, cutOff).Stop()
	for _, p := range d.peers.byAddress {
		if p.link != nil {
			p.link.end()
		}
	}
	for _, p := range d.peers.byAddress {
		if p.link != nil {
			<-p.link.ended
		}
	}
}

// isClosed says that an error is only about something that was closed.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
