package transport

import (
	"encoding/binary"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// canProbe says that ready tells the truth.
const canProbe = true

// extraSize is the room for the count of dropped datagrams.
var extraSize = unix.CmsgSpace(4)

// probe asks whether a socket has something to read.
type probe struct {
	raw   syscall.RawConn
	fds   [1]unix.PollFd
	found bool
	ask   func(fd uintptr)
}

// prepare also asks for the count of dropped datagrams. Without it they are
// dropped uncounted.
func (p *probe) prepare(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	p.raw = raw
	p.ask = func(fd uintptr) {
		p.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, err := unix.Poll(p.fds[:], 0)
		p.found = err == nil && n > 0
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) })
}

// ready says whether a read would return at once.
func (p *probe) ready() bool {
	p.found = false
	return p.raw != nil && p.raw.Control(p.ask) == nil && p.found
}

// lostOf returns the number of datagrams that were dropped, if extra tells it. It
// does so from the first one on.
func lostOf(extra []byte) (uint32, bool) {
	if len(extra) < unix.CmsgLen(4) {
		return 0, false
	}
	at := unix.SizeofCmsghdr
	level := binary.NativeEndian.Uint32(extra[at-8:])
	kind := binary.NativeEndian.Uint32(extra[at-4:])
	if level != unix.SOL_SOCKET || kind != unix.SO_RXQ_OVFL {
		return 0, false
	}
	return binary.NativeEndian.Uint32(extra[at:]), true
}
