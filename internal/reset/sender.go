package reset

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

const (
	// buffer is the send buffer in bytes of the socket to clients. The packets to one
	// whose MAC is being resolved are charged to it for seconds; the kernel's default
	// holds those of a few hundred, and then every other client would wait.
	buffer = 8 << 20

	// stall is how long a full send buffer, or a full queue, is waited for, and
	// breath lies between two looks.
	stall  = time.Second
	breath = time.Millisecond
)

// Order says what is sent because of a connection: a RST, a tickle, or both.
type Order struct {
	Connection  model.Connection
	RST, Tickle bool
}

// Sender sends resets: to clients through raw sockets, to servers through one
// for frames. The virtual IP need not be an address of this machine. A Sender is
// used by one goroutine at a time.
//
// The runtime's poller does not know the sockets: it would be woken for each packet
// that leaves, which costs more than to send it.
type Sender struct {
	four, six int // the raw sockets; -1: this machine has no IPv6
	frames    int // the socket for frames
}

// Open opens the sockets, which needs CAP_NET_RAW, in the network namespace
// of the calling thread.
func Open() (*Sender, error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	s := &Sender{four: -1, six: -1, frames: -1}
	for _, one := range []struct {
		socket           *int
		family, protocol int
	}{
		{&s.four, unix.AF_INET, unix.IPPROTO_RAW}, // receives nothing, takes whole packets
		{&s.six, unix.AF_INET6, unix.IPPROTO_RAW},
		{&s.frames, unix.AF_PACKET, 0},
	} {
		socket, err := unix.Socket(one.family, kind, one.protocol)
		if one.family == unix.AF_INET6 && errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err == nil {
			*one.socket = socket
			err = enlarge(socket)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open a socket for resets: %w", err), s.Close())
		}
	}
	return s, nil
}

// enlarge sets the send buffer. Without CAP_NET_ADMIN the system's limit on it
// holds, which is good enough for small sites.
func enlarge(socket int) error {
	err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffer)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_SNDBUF, buffer)
	}
	return err
}

// Close closes the sockets.
func (s *Sender) Close() error {
	var errs []error
	for _, socket := range []*int{&s.four, &s.six, &s.frames} {
		if *socket >= 0 {
			errs = append(errs, unix.Close(*socket))
		}
		*socket = -1 // others may get the number
	}
	return errors.Join(errs...)
}

// Send sends the clients of connections their packets and returns for how many connections
// the kernel took them all. A client that cannot be reached does not stop the
// others. The error names each kind of failure once, with the number of clients
// it hit.
func (s *Sender) Send(orders []Order) (sent int, err error) {
	var bad failures
	for i, o := range orders {
		c := o.Connection
		if !ofOneFamily(c) {
			bad.add(i, c.Client, errMixed)
			continue
		}
		var err error
		if o.RST {
			err = s.sendPacket(resetOf(c))
		}
		if o.Tickle && !over(err) {
			err = errors.Join(err, s.sendPacket(tickleOf(c)))
		}
		bad.note(i, c.Client, err)
		if over(err) {
			return bad.survivors(i + 1), bad.err("clients", len(orders)-i-1)
		}
	}
	return bad.survivors(len(orders)), bad.err("clients", 0)
}

// over tells whether an error means that nothing can be sent any more.
func over(err error) bool { return errors.Is(err, errStalled) || errors.Is(err, unix.EBADF) }

// sendPacket sends one packet to a client.
func (s *Sender) sendPacket(seg segment) error {
	var b [mostLen]byte
	packet := seg.put(&b)
	if seg.to.Addr().Is4() {
		return transmit(s.four, packet, &unix.SockaddrInet4{Addr: seg.to.Addr().As4()})
	}
	return transmit(s.six, packet, &unix.SockaddrInet6{Addr: seg.to.Addr().As16()})
}

var errStalled = errors.New("the kernel takes no more packets")

// transmit sends. A full buffer or queue is waited for, at most for a stall.
func transmit(socket int, b []byte, to unix.Sockaddr) error {
	for end := (time.Time{}); ; {
		err := unix.Sendto(socket, b, 0, to)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN):
			if end.IsZero() {
				end = time.Now().Add(stall)
			}
			if time.Now().After(end) {
				return errors.Join(errStalled, err)
			}
			time.Sleep(breath)
		default:
			return err
		}
	}
}

var errMixed = errors.New("the client and the virtual IP are not of one family")

func ofOneFamily(c model.Connection) bool {
	return c.Client.IsValid() && c.VIP.IsValid() && c.Client.Addr().Is4() == c.VIP.Addr().Is4()
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
	case errors.Is(err, errStalled):
		return errStalled
	case errors.As(err, &number):
		return number
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
