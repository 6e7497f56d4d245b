package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

const (
	// maxQueuedFrames and maxQueuedBytes bound what waits for one peer's
	// connection: 32 of the longest frames.
	maxQueuedFrames = 256
	maxQueuedBytes  = 32 * MaxFrame

	// writeTimeout is how long a peer may take nothing before it is hung up on.
	writeTimeout = 2 * time.Second

	// A peer that cannot be reached is called again after minBackoff, and then
	// ever more seldom up to maxBackoff. What is for it meanwhile is dropped: old
	// news are of no use to it.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second

	// keepBytes is the size up to which an empty queue keeps its memory.
	keepBytes = 256 << 10
)

// link is the TCP connection that frames go to one peer by. It is opened when
// there is the first frame, and again when it broke. Nothing comes back by it.
type link struct {
	t  *Transport
	to netip.AddrPort

	mu      sync.Mutex // guards what follows
	waiting queue
	frames  int // that wait, or are being sent
	bytes   int // the same
	ending  bool

	wake  chan struct{} // has something in it after a change
	ended chan struct{} // closed at the end of run

	// Only run uses these.
	conn    *seal.Conn // nil: not connected
	broken  *atomic.Bool
	backoff time.Duration
	retry   time.Time // not connected before
}

// queue holds frames one after the other in one piece of memory.
type queue struct {
	bytes []byte
	sizes []int
}

func newLink(t *Transport, to netip.AddrPort) *link {
	return &link{t: t, to: to, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// push queues a frame, or returns false when too much is queued. It does not
// block.
func (l *link) push(frame []byte) bool {
	l.mu.Lock()
	ok := l.frames < maxQueuedFrames && l.bytes+len(frame) <= maxQueuedBytes && !l.ending
	if ok {
		l.waiting.bytes = append(l.waiting.bytes, frame...)
		l.waiting.sizes = append(l.waiting.sizes, len(frame))
		l.frames++
		l.bytes += len(frame)
	}
	l.mu.Unlock()
	l.signal()
	return ok
}

// end has run return once everything is sent that is queued.
func (l *link) end() {
	l.mu.Lock()
	l.ending = true
	l.mu.Unlock()
	l.signal()
}

func (l *link) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run sends what is queued until ctx ends, or until the queue is empty after end.
func (l *link) run(ctx context.Context) {
	defer close(l.ended)
	defer l.hangUp()
	defer context.AfterFunc(ctx, l.signal)()
	var sending queue
	for {
		l.mu.Lock()
		sending, l.waiting = l.waiting, sending
		ending := l.ending
		l.mu.Unlock()
		if len(sending.sizes) == 0 {
			if ending || ctx.Err() != nil {
				return
			}
			<-l.wake
			continue
		}
		rest := sending.bytes
		for _, size := range sending.sizes {
			l.send(ctx, rest[:size])
			rest = rest[size:]
			l.mu.Lock()
			l.frames--
			l.bytes -= size
			l.mu.Unlock()
		}
		sending = queue{sending.bytes[:0], sending.sizes[:0]}
		if cap(sending.bytes) > keepBytes {
			sending = queue{}
		}
	}
}

// send sends one frame. One that breaks an open connection is sent once more: the
// peer may have restarted since the last one.
func (l *link) send(ctx context.Context, frame []byte) {
	for again := true; ; again = false {
		fresh, err := l.connect(ctx)
		if err != nil {
			l.t.counters.drop(unreachable)
			return
		}
		if err = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err == nil {
			err = l.conn.WriteRecord(frame)
		}
		if err == nil {
			l.t.counters.sentTCP.count(len(frame) + seal.RecordOverhead)
			return
		}
		l.hangUp()
		if fresh || !again || ctx.Err() != nil {
			l.t.counters.drop(sendFailed)
			return
		}
	}
}

var errBackingOff = errors.New("not called again yet")

// connect makes sure that there is a connection, sealed with the key that is in
// force, and says whether it is a new one.
func (l *link) connect(ctx context.Context) (fresh bool, err error) {
	if l.conn != nil && (l.broken.Load() || l.conn.Outdated()) {
		l.hangUp()
	}
	if l.conn != nil {
		return false, nil
	}
	if time.Now().Before(l.retry) {
		return false, errBackingOff
	}
	conn, err := l.t.dial(ctx, seal.Gossip, l.to.String())
	if err != nil {
		l.backoff = min(max(2*l.backoff, minBackoff), maxBackoff)
		l.retry = time.Now().Add(l.backoff/2 + rand.N(l.backoff))
		if ctx.Err() == nil {
			l.t.log.about("a peer takes no TCP connection; what is too long for a datagram does not reach it", l.to, err)
		}
		return false, err
	}
	l.backoff, l.conn, l.broken = 0, conn, &atomic.Bool{}
	l.t.streams.Go(func() { watch(conn, l.broken) })
	return true, nil
}

// watch notices when the other side hangs up: otherwise the next frame would get
// lost before the one after it finds out.
func watch(conn *seal.Conn, broken *atomic.Bool) {
	_, _ = conn.ReadRecord() // nobody sends one
	broken.Store(true)
}

func (l *link) hangUp() {
	if l.conn != nil {
		_ = l.conn.Close() // it may be broken already
		l.conn = nil
	}
}
