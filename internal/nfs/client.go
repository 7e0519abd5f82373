package nfs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"fairlead/internal/rpc"
)

// The kernel client's delays between attempts to connect (net/sunrpc: first 3 s,
// doubling, at most 60 s for NFSv3).
const (
	firstBackoff = 3 * time.Second
	maxBackoff   = 60 * time.Second
)

// Options say how to reach a server.
type Options struct {
	Server netip.AddrPort
	// Dial connects from local, whose port is 0 the first time. Nil: Dial.
	Dial func(ctx context.Context, local, server netip.AddrPort) (net.Conn, error)
	// Event is told what happens to the connection. It must not block.
	Event func(Event)
	// Machine names the client in its credential.
	Machine string
}

// Client is one connection to a server, made anew whenever it is lost. Its
// methods may be called at once; the calls then wait for each other.
type Client struct {
	opts Options
	cred rpc.Credential

	mu       sync.Mutex // guards the following; held during a call
	conn     net.Conn   // nil: not connected
	reader   *bufio.Reader
	local    netip.AddrPort // of the last connection: its port is used again
	xid      uint32
	backoff  time.Duration // 0: a reply came since the last attempt to connect
	attempt  time.Time     // start of the last attempt to connect; zero: the next one is due at once
	before   bool          // was connected once
	repeated int
}

// New returns a client that connects at its first call.
func New(o Options) *Client {
	if o.Dial == nil {
		o.Dial = Dial
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	// Root, as the lab's shared directory belongs to root.
	return &Client{opts: o, cred: rpc.AuthSys(o.Machine, 0, 0), xid: rand.Uint32()}
}

// Dial connects a TCP socket that may take a source port which an earlier
// connection used. It sets no timeout: the kernel repeats its SYN until ctx ends.
func Dial(ctx context.Context, local, server netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1, Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		if e := rc.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		}); e != nil {
			return e
		}
		return err
	}}
	if local.Port() != 0 {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	return d.DialContext(ctx, "tcp", server.String())
}

// Close ends the connection. A later call connects anew.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// Repeated counts the calls that found their work already done, because a
// server had carried them out before its answer was lost.
func (c *Client) Repeated() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.repeated
}

// Local is the local end of the connection, or of the last one.
func (c *Client) Local() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.local
}

// call carries out one remote call, over as many connections as it takes. Resent
// tells that the call was sent more than once. It fails when ctx ends, when the
// server answers with an RPC error, or when it breaks the protocol.
func (c *Client) call(ctx context.Context, p rpc.Procedure, args func(*rpc.Encoder)) (d rpc.Decoder, resent bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.xid++
	message := rpc.EncodeCall(c.xid, p, c.cred, args)
	for n := 0; ; n++ {
		if err := c.connect(ctx); err != nil {
			return d, n > 1, fmt.Errorf("%s: %w", p.Name, err)
		}
		if n > 0 {
			c.opts.Event(Event{Kind: Resent, At: time.Now()})
		}
		d, err := c.exchange(ctx, p, message)
		if err == nil {
			c.backoff = 0 // a useful conversation: the next reconnect need not wait
			return d, n > 0, nil
		}
		var lost *lostError
		if !errors.As(err, &lost) {
			return d, n > 0, fmt.Errorf("%s: %w", p.Name, err)
		}
		c.lose(lost.err)
		if ctx.Err() != nil {
			return d, n > 0, fmt.Errorf("%s: %w", p.Name, ctx.Err())
		}
	}
}

// lostError tells that the connection is gone and the call may be sent again.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }

// exchange sends one call and waits for its reply.
func (c *Client) exchange(ctx context.Context, p rpc.Procedure, message []byte) (rpc.Decoder, error) {
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(message); err != nil {
		return rpc.Decoder{}, &lostError{err}
	}
	for {
		record, err := rpc.ReadRecord(c.reader, maxRecord)
		if errors.Is(err, ErrMalformed) {
			c.drop()
			return rpc.Decoder{}, err
		}
		if err != nil {
			return rpc.Decoder{}, &lostError{err}
		}
		xid, d, err := rpc.DecodeReply(record, p)
		if errors.Is(err, ErrMalformed) {
			c.drop()
			return rpc.Decoder{}, err
		}
		if xid == c.xid {
			return d, err
		}
		// A late reply to an earlier call that was sent twice.
	}
}

// connect returns when there is a connection.
func (c *Client) connect(ctx context.Context) error {
	for c.conn == nil {
		if err := c.pause(ctx); err != nil {
			return err
		}
		conn, err := c.opts.Dial(ctx, c.local, c.opts.Server)
		if err == nil {
			c.connected(conn)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.failed(err); err != nil {
			return err
		}
	}
	return nil
}

// pause waits until the next attempt to connect is due. The first one after a
// reply is due at once; the delay counts from the start of the last attempt.
func (c *Client) pause(ctx context.Context) error {
	if wait := time.Until(c.attempt.Add(c.backoff)); c.backoff > 0 && wait > 0 {
		c.opts.Event(Event{Kind: Waiting, At: time.Now(), Wait: wait})
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	if !c.attempt.IsZero() {
		c.backoff = min(max(2*c.backoff, firstBackoff), maxBackoff)
	}
	c.attempt = time.Now()
	return ctx.Err()
}

func (c *Client) connected(conn net.Conn) {
	kind := Connected
	if c.before {
		kind = Reconnected
	}
	c.before, c.conn, c.reader = true, conn, bufio.NewReaderSize(conn, 64<<10)
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		c.local = a.AddrPort()
	}
	c.opts.Event(Event{Kind: kind, At: time.Now()})
}

// failed judges a failed attempt to connect: nil when another one may help.
func (c *Client) failed(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("connect to %v: %w", c.opts.Server, err)
	}
	if (errno == syscall.EADDRINUSE || errno == syscall.EADDRNOTAVAIL) && c.local.Port() != 0 {
		c.local = netip.AddrPort{} // the port is taken: any other, at once
		c.attempt = time.Time{}
		return nil
	}
	c.backoff = max(c.backoff, firstBackoff)
	kind := Unreachable
	if errno == syscall.ECONNREFUSED {
		kind = Refused
	}
	c.opts.Event(Event{Kind: kind, At: time.Now(), Err: err})
	return nil
}

// lose drops a connection that ended and tells how.
func (c *Client) lose(err error) {
	c.drop()
	c.opts.Event(Event{Kind: lossKind(err), At: time.Now(), Err: err})
}

func lossKind(err error) EventKind {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Closed
	}
	return Lost
}

// drop ends the connection without lingering states, which would keep the
// source port from being used again.
func (c *Client) drop() {
	if c.conn == nil {
		return
	}
	if t, ok := c.conn.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.conn.Close()
	c.conn = nil
}

// Wait connects if need be and then reads, with nothing in flight, until the
// connection ends. It returns how it ended, or ctx's error.
func (c *Client) Wait(ctx context.Context) (Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.connect(ctx); err != nil {
		return Event{}, err
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var err error
	for err == nil {
		_, err = rpc.ReadRecord(c.reader, maxRecord)
	}
	e := Event{Kind: lossKind(err), At: time.Now(), Err: err}
	c.drop()
	if ctx.Err() != nil {
		return Event{}, ctx.Err()
	}
	c.opts.Event(e)
	return e, nil
}
