package rpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"
)

// Limits of one answer, in bytes.
const (
	DefaultLimit  = 1 << 20
	datagramLimit = 16 << 10
)

// A datagram may be lost: it is sent again after firstRetry, and then after
// twice as long each time.
const (
	firstRetry = 250 * time.Millisecond
	maxStrange = 64 // datagrams that answer nothing, in one call
)

// Conn makes calls over one connection, one at a time. It sends no call twice over
// TCP. After a failure of the connection each further call gives the same error.
type Conn struct {
	conn     net.Conn
	in       counter
	reader   *bufio.Reader // nil: datagrams
	cred     Credential
	limit    int
	xid      uint32
	broken   error
	datagram bool
}

// New makes calls over an open connection, which Close then closes. A connection
// of the networks udp, udp4 and udp6 carries datagrams. Limit bounds an answer;
// 0 means DefaultLimit.
func New(conn net.Conn, cred Credential, limit int) *Conn {
	if limit == 0 {
		limit = DefaultLimit
	}
	c := &Conn{conn: conn, cred: cred, limit: limit, xid: rand.Uint32()}
	if _, c.datagram = conn.(net.PacketConn); !c.datagram {
		c.in.conn = conn
		c.reader = bufio.NewReader(&c.in)
	}
	return c
}

// counter counts what came.
type counter struct {
	conn net.Conn
	n    int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.conn.Read(p)
	c.n += n
	return n, err
}

// Close ends the connection at once and leaves nothing behind: a connection in
// TIME_WAIT would keep a port that the next one may need.
func (c *Conn) Close() error { return Abort(c.conn) }

// Abort closes a connection; a TCP one with RST instead of FIN.
func Abort(conn net.Conn) error {
	if t, ok := conn.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	return conn.Close()
}

// Do carries out one call before ctx ends.
func Do[T any](ctx context.Context, c *Conn, call Call[T]) (T, error) {
	var zero T
	if c.broken != nil {
		return zero, c.broken
	}
	c.xid++
	record := EncodeCall(c.xid, call.Procedure, c.cred, call.Args)
	exchange := c.stream
	if c.datagram {
		exchange = c.datagrams
	}
	d, err := exchange(ctx, call.Procedure, record)
	if err != nil {
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			c.broken = err
		}
		return zero, err
	}
	return call.Read(d)
}

// stream sends one call over TCP and waits for its reply.
func (c *Conn) stream(ctx context.Context, p Procedure, record []byte) (Decoder, error) {
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	before := c.in.n
	if _, err := c.conn.Write(record); err != nil {
		return Decoder{}, Explain(ctx, err)
	}
	reply, err := ReadRecord(c.reader, c.limit)
	if err != nil {
		err = Explain(ctx, err)
		if came := c.in.n - before; errors.Is(err, ErrNoAnswer) && came > 0 {
			err = fmt.Errorf("%w (only %d bytes of it came)", err, came)
		}
		return Decoder{}, err
	}
	xid, d, err := DecodeReply(reply, p)
	if xid != c.xid && !errors.Is(err, ErrMalformed) {
		return Decoder{}, fmt.Errorf("%w: it answers a call that was not made", ErrMalformed)
	}
	return d, err
}

// datagrams sends one call over UDP, again and again, and waits for its reply.
func (c *Conn) datagrams(ctx context.Context, p Procedure, record []byte) (Decoder, error) {
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	buffer := make([]byte, min(c.limit, datagramLimit))
	strange := 0
	for wait := firstRetry; ; wait *= 2 {
		c.conn.SetDeadline(time.Now().Add(wait))
		if ctx.Err() != nil { // it may have ended before the deadline was set
			return Decoder{}, Explain(ctx, ctx.Err())
		}
		if _, err := c.conn.Write(record[4:]); err != nil {
			return Decoder{}, Explain(ctx, err)
		}
		d, err := c.reply(p, buffer, &strange)
		if !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
			var refusal *Refusal
			if err != nil && !errors.As(err, &refusal) {
				err = Explain(ctx, err)
			}
			return d, err
		}
	}
}

// reply reads datagrams until one answers the call. Others are late answers to an
// earlier sending, or nonsense; few of either are borne.
func (c *Conn) reply(p Procedure, buffer []byte, strange *int) (Decoder, error) {
	for {
		n, err := c.conn.Read(buffer)
		if err != nil {
			return Decoder{}, err
		}
		if n == len(buffer) {
			return Decoder{}, fmt.Errorf("%w: a datagram of more than %d bytes", ErrMalformed, n-1)
		}
		xid, d, err := DecodeReply(buffer[:n], p)
		if xid == c.xid {
			return d, err
		}
		if *strange++; *strange > maxStrange {
			return Decoder{}, fmt.Errorf("%w: %d datagrams that answer no call", ErrMalformed, *strange)
		}
	}
}
