package reset

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

const (
	// batch is how many packets go to the kernel with one call.
	batch = 256

	// buffer is the socket's send buffer in bytes. The packets to a client whose
	// MAC is being resolved are charged to it for seconds; the kernel's default
	// holds those of a few hundred, and then every other client would wait.
	buffer = 8 << 20

	// stall is how long a full send buffer is waited for.
	stall = time.Second
)

// Sender sends resets through a raw socket. The virtual IP need not be an
// address of this machine. A Sender is used by one goroutine at a time.
type Sender struct {
	conn     net.PacketConn
	raw      *ipv4.RawConn
	packets  [batch][packetLen]byte
	messages [batch]ipv4.Message
	owners   [batch]int // the connection that each packet is for, by its index
}

// Open opens the raw socket, which needs CAP_NET_RAW, in the network namespace
// of the calling thread.
func Open() (*Sender, error) {
	conn, err := net.ListenPacket("ip4:255", "0.0.0.0") // 255, IPPROTO_RAW: receives nothing
	if err != nil {
		return nil, fmt.Errorf("open a raw socket for resets: %w", err)
	}
	raw, err := ipv4.NewRawConn(conn)
	if err == nil {
		err = enlarge(conn.(*net.IPConn))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the raw socket for resets: %w", err), conn.Close())
	}
	s := &Sender{conn: conn, raw: raw}
	for i := range s.messages {
		s.messages[i].Buffers = [][]byte{s.packets[i][:]}
		s.messages[i].Addr = &net.IPAddr{IP: make(net.IP, net.IPv4len)}
	}
	return s, nil
}

// enlarge sets the send buffer. Without CAP_NET_ADMIN the system's limit on it
// holds, which is good enough for small sites.
func enlarge(conn *net.IPConn) error {
	rc, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = rc.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffer)
		if errors.Is(failed, unix.EPERM) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, buffer)
		}
	})
	return errors.Join(err, failed)
}

// Close closes the socket.
func (s *Sender) Close() error { return s.conn.Close() }

// Send sends every connection its packets and returns for how many connections
// the kernel took them all. A client that cannot be reached does not stop the
// others. The error names each kind of failure once, with the number of clients
// it hit.
func (s *Sender) Send(connections []model.Connection) (sent int, err error) {
	var bad failures
	filled := 0
	for i, c := range connections {
		if !isIPv4(c) {
			bad.add(i, c.Client, errNotIPv4)
			continue
		}
		if filled+2 > batch {
			if !s.flush(connections, filled, &bad) {
				return bad.survivors(i), bad.err(len(connections) - i)
			}
			filled = 0
		}
		if c.HasAck {
			filled = s.fill(filled, i, resetOf(c))
		}
		filled = s.fill(filled, i, tickleOf(c))
	}
	s.flush(connections, filled, &bad)
	return bad.survivors(len(connections)), bad.err(0)
}

var errNotIPv4 = errors.New("not an IPv4 connection")

func isIPv4(c model.Connection) bool { return c.Client.Addr().Is4() && c.VIP.Addr().Is4() }

// fill makes packet n of the batch and returns the number of the next.
func (s *Sender) fill(n, owner int, seg segment) int {
	seg.put(&s.packets[n])
	dst := seg.to.Addr().As4()
	copy(s.messages[n].Addr.(*net.IPAddr).IP, dst[:])
	s.owners[n] = owner
	return n + 1
}

// flush sends the first n packets of the batch. The kernel stops at the first
// one that it refuses: that one is noted and the rest is tried. It is false when
// nothing can be sent any more.
func (s *Sender) flush(connections []model.Connection, n int, bad *failures) bool {
	for at := 0; at < n; {
		took, err := 0, s.conn.SetWriteDeadline(time.Now().Add(stall))
		if err == nil {
			took, err = s.raw.WriteBatch(s.messages[at:n], 0)
		}
		if err == nil {
			at += took
			continue
		}
		owner := s.owners[at]
		bad.add(owner, connections[owner].Client, err)
		at++
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			for ; at < n; at++ {
				bad.add(s.owners[at], connections[s.owners[at]].Client, err)
			}
			return false
		}
	}
	return true
}

// failures collects what went wrong, one entry per kind: thousands of clients
// behind one dead route are one line.
type failures struct {
	kinds []failure
	hit   int // connections with a failure
	last  int // the last of them, by its index, plus 1
}

type failure struct {
	first netip.AddrPort
	err   error
	count int
}

func (f *failures) add(index int, client netip.AddrPort, err error) {
	if f.last == index+1 {
		return // its other packet failed before
	}
	f.last = index + 1
	f.hit++
	err = cause(err)
	for i := range f.kinds {
		if f.kinds[i].err == err {
			f.kinds[i].count++
			return
		}
	}
	f.kinds = append(f.kinds, failure{first: client, err: err, count: 1})
}

// cause strips what differs from call to call.
func cause(err error) error {
	var number unix.Errno
	switch {
	case errors.As(err, &number):
		return number
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	}
	return err
}

// survivors is how many of the first n connections had no failure.
func (f *failures) survivors(n int) int { return n - f.hit }

func (f *failures) err(untried int) error {
	var all []error
	for _, k := range f.kinds {
		all = append(all, fmt.Errorf("send resets to %d clients, the first %s: %w", k.count, k.first, k.err))
	}
	if untried > 0 {
		all = append(all, fmt.Errorf("send resets to %d clients: not tried after that", untried))
	}
	return errors.Join(all...)
}
