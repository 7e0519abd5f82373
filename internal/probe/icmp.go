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

// ICMP types (RFC 792, and RFC 4443 of IPv6), and the length of an echo message with
// our token.
const (
	echoReply    = 0
	echoRequest  = 8
	echoReply6   = 129
	echoRequest6 = 128

	headerLen  = 8
	tokenLen   = 16
	echoLen    = headerLen + tokenLen
	headerMost = 60 // bytes of an IPv4 header
)

// askICMP sends an echo request and waits for its reply.
func askICMP(ctx context.Context, q question) (err error) {
	network, request, reply := "ip4:icmp", byte(echoRequest), byte(echoReply)
	if q.addr.Is6() {
		network, request, reply = "ip6:ipv6-icmp", echoRequest6, echoReply6
	}
	d := net.Dialer{Control: func(network, address string, raw syscall.RawConn) error {
		return errors.Join(tellErrors(q.addr.Is6(), raw), q.prepare(network, address, raw))
	}}
	if q.source.IsValid() {
		d.LocalAddr = &net.IPAddr{IP: q.source.AsSlice()}
	}
	// The socket is connected: the kernel gives it this server's messages only.
	conn, err := d.DialContext(ctx, network, q.addr.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer bind(ctx, conn)()
	sent := echo(request)
	got := make([]byte, 2*headerMost) // what is longer is no reply to us
	return repeat(ctx, conn, func() error {
		_, err := conn.Write(sent)
		return err
	}, func() (bool, error) {
		n, _, err := conn.(*net.IPConn).ReadFrom(got) // unlike Read it takes off the IP header
		return err == nil && n == echoLen && got[0] == reply && bytes.Equal(got[4:echoLen], sent[4:]), err
	})
}

// echo is an echo request whose identifier and token nobody can guess. Of IPv6 the
// kernel writes the checksum, which takes in the addresses.
func echo(request byte) []byte {
	b := make([]byte, echoLen)
	b[0] = request
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
func tellErrors(six bool, raw syscall.RawConn) error {
	level, option := unix.SOL_IP, unix.IP_RECVERR
	if six {
		level, option = unix.SOL_IPV6, unix.IPV6_RECVERR
	}
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) })
	return errors.Join(err, failed)
}
