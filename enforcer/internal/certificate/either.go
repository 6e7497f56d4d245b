package certificate

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Either returns a listener whose connections speak TLS if their client does, and else
// plain text. The first byte tells: TLS begins with the type of a record, and no text
// does. Reading or writing waits for it.
func Either(l net.Listener, config *tls.Config) net.Listener { return either{l, config} }

type either struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener.
func (l either) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &undecided{Conn: conn, config: l.config}, nil
}

// undecided is a connection that is TLS or not.
type undecided struct {
	net.Conn // what bytes come by
	config   *tls.Config

	once    sync.Once
	decided atomic.Pointer[net.Conn] // what is spoken; nil until that is known
}

// handshake is the type of the record that TLS begins with.
const handshake = 22

// decide returns what the connection is, once its client has spoken.
func (c *undecided) decide() (conn net.Conn, err error) {
	c.once.Do(func() {
		first := make([]byte, 1)
		if _, err = io.ReadFull(c.Conn, first); err != nil {
			return
		}
		var conn net.Conn = &replayed{c.Conn, first}
		if first[0] == handshake {
			conn = tls.Server(conn, c.config)
		}
		c.decided.Store(&conn)
	})
	switch decided := c.decided.Load(); {
	case err != nil:
		return nil, err
	case decided == nil:
		return nil, net.ErrClosed // the client went without a word
	default:
		return *decided, nil
	}
}

// Read implements net.Conn.
func (c *undecided) Read(p []byte) (int, error) {
	conn, err := c.decide()
	if err != nil {
		return 0, err
	}
	return conn.Read(p)
}

// Write implements net.Conn.
func (c *undecided) Write(p []byte) (int, error) {
	conn, err := c.decide()
	if err != nil {
		return 0, err
	}
	return conn.Write(p)
}

// Close implements net.Conn. It does not wait.
func (c *undecided) Close() error {
	if conn := c.decided.Load(); conn != nil {
		return (*conn).Close()
	}
	return c.Conn.Close()
}

// replayed is a connection of which the beginning has been read.
type replayed struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (c *replayed) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.first)
	c.first = c.first[n:]
	return n, nil
}
