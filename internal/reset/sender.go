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

// Order says what is sent because of a connection: a RST, a tickle, or both.
type Order struct {
	Connection  model.Connection
	RST, Tickle bool
}

// Sender sends resets: to clients through a raw socket, to servers through one
// for frames. The virtual IP need not be an address of this machine. A Sender is
// used by one goroutine at a time.
type Sender struct {
	conn     net.PacketConn
	raw      *ipv4.RawConn
	frames   int // the socket for frames
	packets  [batch][packetLen]byte
	messages [batch]ipv4.Message
	owners   [batch]int // the connection that each packet is for, by its index
}

// Open opens the sockets, which needs CAP_NET_RAW, in the network namespace
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
	frames, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a packet socket for resets: %w", err), conn.Close())
	}
	s := &Sender{conn: conn, raw: raw, frames: frames}
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

// Close closes the sockets.
func (s *Sender) Close() error { return errors.Join(s.conn.Close(), unix.Close(s.frames)) }

// Send sends the clients of connections their packets and returns for how many connections
// the kernel took them all. A client that cannot be reached does not stop the
// others. The error names each kind of failure once, with the number of clients
// it hit.
func (s *Sender) Send(orders []Order) (sent int, err error) {
	var bad failures
	filled := 0
	for i, o := range orders {
		c := o.Connection
		if !isIPv4(c) {
			bad.add(i, c.Client, errNotIPv4)
			continue
		}
		if filled+2 > batch {
			if !s.flush(orders, filled, &bad) {
				return bad.survivors(i), bad.err("clients", len(orders)-i)
			}
			filled = 0
		}
		if o.RST {
			filled = s.fill(filled, i, resetOf(c))
		}
		if o.Tickle {
			filled = s.fill(filled, i, tickleOf(c))
		}
	}
	s.flush(orders, filled, &bad)
	return bad.survivors(len(orders)), bad.err("clients", 0)
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
func (s *Sender) flush(orders []Order, n int, bad *failures) bool {
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
		bad.add(owner, orders[owner].Connection.Client, err)
		at++
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			for ; at < n; at++ {
				bad.add(s.owners[at], orders[s.owners[at]].Connection.Client, err)
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

func (f *failures) err(whom string, untried int) error {
	var all []error
	for _, k := range f.kinds {
		all = append(all, fmt.Errorf("send resets to %d %s, the first %s: %w", k.count, whom, k.first, k.err))
	}
	if untried > 0 {
		all = append(all, fmt.Errorf("send resets to %d %s: not tried after that", untried, whom))
	}
	return errors.Join(all...)
}
