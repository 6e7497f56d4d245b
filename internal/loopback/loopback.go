// Package loopback finds addresses of this machine for servers that programs and tests
// are about to start.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
)

// most is how many ports are tried for one that is free.
const most = 1000

// Ports gives out addresses of 127.0.0.1, each once. It may be used by several goroutines
// at once.
//
// An address is free when it is given out, and not kept: start below port 32768, as from
// there on Linux takes ports for connections.
type Ports struct {
	mu   sync.Mutex
	next int
}

// From returns the ports from one on.
func From(port int) *Ports { return &Ports{next: port} }

// OfProcess returns ports below 32768 from one on that differs from process to process,
// and is some way off that of a process that was started just before.
func OfProcess() *Ports { return From(10_000 + os.Getpid()*61%20_000) }

// Free returns the next address at which nobody listens, neither by TCP nor by UDP. It
// fails when none of a thousand is free.
func (p *Ports) Free(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var last error
	for range most {
		address, err := Free(ctx, p.next)
		p.next++
		if err == nil {
			return address, nil
		}
		last = err
	}
	return "", fmt.Errorf("no port of %d to %d is free: %w", p.next-most, p.next-1, last)
}

// Free returns the address of a port, and an error if somebody listens there by TCP or by
// UDP.
func Free(ctx context.Context, port int) (address string, err error) {
	address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	var config net.ListenConfig
	tcp, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return address, err
	}
	udp, err := config.ListenPacket(ctx, "udp", address)
	if err != nil {
		return address, errors.Join(err, tcp.Close())
	}
	return address, errors.Join(udp.Close(), tcp.Close())
}
