package reset

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// bereft is a server with a connection whose client's kernel has forgotten it
// without a word, and a sender on the client's side of the wire.
type bereft struct {
	server net.Conn
	conn   model.Connection // its Next is exact
	sender *Sender
	ns     netns.NsHandle // of the client and the sender
}

// send sends from the client's side of the wire.
func (b bereft) send(t *testing.T, iface string, orders ...Order) (sent int, err error) {
	t.Helper()
	within(t, b.ns, func() error {
		sent, err = b.sender.SendServers(iface, orders)
		return nil
	})
	return sent, err
}

func newBereft(t *testing.T) bereft {
	t.Helper()
	clientNS, hc := newNamespace(t)
	serverNS, hs := newNamespace(t)
	wire(t, clientNS, serverNS, hc, hs, "192.168.10.10/24", "192.168.10.50/24")
	b := bereft{ns: clientNS}
	var ln net.Listener
	within(t, serverNS, func() (err error) { ln, err = net.Listen("tcp4", "192.168.10.50:2049"); return err })
	t.Cleanup(func() { ln.Close() })
	var client *net.TCPConn
	within(t, clientNS, func() error {
		var err error
		if b.sender, err = Open(); err != nil {
			return err
		}
		conn, err := net.DialTimeout("tcp4", "192.168.10.50:2049", patience)
		if err == nil {
			client = conn.(*net.TCPConn)
		}
		return err
	})
	t.Cleanup(func() { b.sender.Close() })
	var err error
	if b.server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.server.Close() })
	if _, err := client.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b.server, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	b.conn = model.Connection{
		Client: client.LocalAddr().(*net.TCPAddr).AddrPort(), VIP: client.RemoteAddr().(*net.TCPAddr).AddrPort(),
		Next: forget(t, client), ServerMAC: macOf(t, hs), SourceMAC: macOf(t, hc),
	}
	return b
}

// forget takes a connection out of its kernel without a packet, and returns the
// sequence number that the client would have sent next.
func forget(t *testing.T, client *net.TCPConn) uint32 {
	t.Helper()
	rc, err := client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const sendQueue = 2
	var next int
	var failed error
	err = rc.Control(func(fd uintptr) {
		for _, set := range []struct{ option, value int }{{unix.TCP_REPAIR, 1}, {unix.TCP_REPAIR_QUEUE, sendQueue}} {
			if failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, set.option, set.value); failed != nil {
				return
			}
		}
		next, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
	})
	if err := errors.Join(err, failed, client.Close()); err != nil {
		t.Fatal(err)
	}
	return uint32(next)
}

func macOf(t *testing.T, h *netlink.Handle) model.MAC {
	t.Helper()
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return model.MAC(eth0.Attrs().HardwareAddr)
}

// oftenest is how often a tickle is sent: longer than the kernel's
// tcp_invalid_ratelimit of 500 ms. It is repeated, as the rounds do, because the RST
// that the client's kernel answers with may be lost: the socket for those is one for
// each processor, of all namespaces together, and it may be full of other tests' RSTs.
const oftenest = 700 * time.Millisecond

// The server's end is gone after a RST with the exact number, and after a tickle
// that makes the client's kernel send it.
func TestServerSideIsReset(t *testing.T) {
	for name, order := range map[string]func(model.Connection) Order{
		"RST":                   func(c model.Connection) Order { return Order{Connection: c, RST: true} },
		"tickle":                func(c model.Connection) Order { return Order{Connection: c, Tickle: true} },
		"RST outdated, tickle":  func(c model.Connection) Order { c.Next -= 90; return Order{Connection: c, RST: true, Tickle: true} },
		"tickle, far outdated":  func(c model.Connection) Order { c.Next -= 1 << 20; return Order{Connection: c, Tickle: true} },
		"RST and tickle, exact": func(c model.Connection) Order { return Order{Connection: c, RST: true, Tickle: true} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBereft(t)
			want := order(b.conn)
			err := error(os.ErrDeadlineExceeded)
			for end := time.Now().Add(patience); errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end); {
				if sent, err := b.send(t, "eth0", want); sent != 1 || err != nil {
					t.Fatalf("SendServers = %d, %v; want 1", sent, err)
				}
				wait := patience
				if want.Tickle {
					wait = oftenest
				}
				if err := b.server.SetReadDeadline(time.Now().Add(wait)); err != nil {
					t.Fatal(err)
				}
				_, err = b.server.Read(make([]byte, 1))
			}
			if !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("the server got %v, want ECONNRESET", err)
			}
		})
	}
}

// A RST below what the server expects ends nothing: the number must be known.
func TestOutdatedServerReset(t *testing.T) {
	b := newBereft(t)
	b.conn.Next -= 90
	if sent, err := b.send(t, "eth0", Order{Connection: b.conn, RST: true}); sent != 1 || err != nil {
		t.Fatal(sent, err)
	}
	if err := b.server.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.server.Read(make([]byte, 1)); errors.Is(err, unix.ECONNRESET) {
		t.Error("the server gave the connection up")
	}
}

func TestSendServersTellsWhatFailed(t *testing.T) {
	b := newBereft(t)
	unknown, six := b.conn, b.conn
	unknown.ServerMAC = model.MAC{}
	six.VIP = netip.MustParseAddrPort("[2001:db8::1]:2049")
	sent, err := b.send(t, "eth0", Order{Connection: unknown, RST: true}, Order{Connection: b.conn, RST: true}, Order{Connection: six, RST: true})
	if sent != 1 || err == nil || !strings.Contains(err.Error(), "send resets to 1 servers, the first 192.168.10.50:2049: the server's MAC address is not known") {
		t.Errorf("SendServers = %d, %v", sent, err)
	}
	if _, err := b.send(t, "eth9"); err == nil || !strings.Contains(err.Error(), "eth9") {
		t.Errorf("an interface that is not there: %v", err)
	}
}

// By a tunnel, the reset of a server's end is the same packet in one to the server.
func TestServerResetByATunnel(t *testing.T) {
	c := model.Connection{Client: netip.MustParseAddrPort("192.168.10.10:700"), VIP: netip.MustParseAddrPort("192.168.10.50:2049"), Next: 77,
		ServerMAC: model.MAC{2, 0, 0, 0, 0, 1}, SourceMAC: model.MAC{2, 0, 0, 0, 0, 2}}
	var bare, room [etherLen + outerLen + mostLen]byte
	want := frameTo(&bare, c, serverReset(c))
	c.Tunnel = model.Tunnel{Source: netip.MustParseAddr("192.168.10.2"), Server: netip.MustParseAddr("10.9.0.1")}
	got := frameTo(&room, c, serverReset(c))
	outer := []byte{0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 4, 0x66, 0x0a, 192, 168, 10, 2, 10, 9, 0, 1}
	if string(got) != string(want[:14])+string(outer)+string(want[14:]) {
		t.Errorf("got\n%x, want\n%x%x%x", got, want[:14], outer, want[14:])
	}
	if len(want) != etherLen+fourLen+tcpLen {
		t.Errorf("without a tunnel it has %d bytes", len(want))
	}
}
