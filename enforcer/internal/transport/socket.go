package transport

import (
	"net"
	"net/netip"
)

// socket is the UDP socket. One goroutine reads; any number may write.
type socket struct {
	*net.UDPConn
	probe
	extra []byte // what the operating system tells besides a datagram
	lost  uint32 // the number of datagrams that it has dropped
}

func newSocket(conn *net.UDPConn) *socket {
	s := &socket{UDPConn: conn}
	s.prepare(conn)
	s.extra = make([]byte, extraSize)
	return s
}

// read waits for a datagram until the deadline. It returns as well how many have
// been dropped since the last one because nobody read them. One that does not fit
// into b is cut off.
func (s *socket) read(b []byte) (n int, from netip.AddrPort, dropped uint32, err error) {
	n, extra, _, from, err := s.ReadMsgUDPAddrPort(b, s.extra)
	if err != nil {
		return 0, from, 0, err
	}
	if lost, ok := lostOf(s.extra[:extra]); ok {
		dropped, s.lost = lost-s.lost, lost
	}
	return n, unmap(from), dropped, nil
}
