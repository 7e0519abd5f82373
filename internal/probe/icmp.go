package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ICMP types (RFC 792), and the length of an echo message with our token.
const (
	echoReply   = 0
	echoRequest = 8
	headerLen   = 8
	tokenLen    = 16
	echoLen     = headerLen + tokenLen
	headerMost  = 60 // bytes of an IPv4 header
)

// askICMP sends an echo request and waits for its reply.
func askICMP(ctx context.Context, q question) (err error) {
	d := net.Dialer{Control: func(network, address string, raw syscall.RawConn) error {
		return errors.Join(tellErrors(network, address, raw), q.prepare(network, address, raw))
	}}
	if q.source.IsValid() {
		d.LocalAddr = &net.IPAddr{IP: q.source.AsSlice()}
	}
	// The socket is connected: the kernel gives it this server's messages only.
	conn, err := d.DialContext(ctx, "ip4:icmp", q.addr.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer bind(ctx, conn)()
	sent := echo()
	got := make([]byte, 2*headerMost) // what is longer is no reply to us
	return repeat(ctx, conn, func() error {
		_, err := conn.Write(sent)
		return err
	}, func() (bool, error) {
		n, _, err := conn.(*net.IPConn).ReadFrom(got) // unlike Read it takes off the IP header
		return err == nil && n == echoLen && got[0] == echoReply && bytes.Equal(got[4:echoLen], sent[4:]), err
	})
}

// echo is an echo request whose identifier and token nobody can guess.
func echo() []byte {
	b := make([]byte, echoLen)
	b[0] = echoRequest
	rand.Read(b[4:]) // never fails
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// checksum is that of RFC 1071, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// tellErrors makes the kernel tell the socket of the ICMP errors about what it sent.
func tellErrors(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, 1)
	})
	return errors.Join(err, failed)
}
