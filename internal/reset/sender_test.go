package reset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// patience bounds every wait of these tests.
const patience = 5 * time.Second

// scene is a client with an idle connection to a virtual IP whose server has
// just become a black hole.
type scene struct {
	header int // bytes of the IP header
	client *net.TCPConn
	conn   model.Connection // its LastAck is exact
	sender *Sender
	wire   *packet.Conn // what the client sends, as the director sees it
}

// newScene lets a client read a greeting from the virtual IP, sees its
// acknowledgment on the wire, and then takes the virtual IP away.
func newScene(t *testing.T) scene { return newSceneOf(t, "192.168.10.%d", 24, unix.ETH_P_IP) }

// families are scenes of IPv4 and of IPv6.
var families = map[string]func(*testing.T) scene{
	"IPv4": newScene,
	"IPv6": func(t *testing.T) scene { return newSceneOf(t, "2001:db8::%d", 64, unix.ETH_P_IPV6) },
}

func newSceneOf(t *testing.T, form string, bits, protocol int) scene {
	t.Helper()
	addr := func(host, bits int) string { return fmt.Sprintf(form+"/%d", host, bits) }
	service := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf(form, 50)), 2049)
	clientNS, hc := newNamespace(t)
	serverNS, hs := newNamespace(t)
	wire(t, clientNS, serverNS, hc, hs, addr(10, bits), addr(1, bits))
	eth0, err := hs.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	vip := address(t, addr(50, service.Addr().BitLen()))
	if err := hs.AddrAdd(eth0, vip); err != nil {
		t.Fatal(err)
	}
	s := scene{header: fourLen}
	if service.Addr().Is6() {
		s.header = sixLen
	}
	var ln net.Listener
	within(t, serverNS, func() error {
		if s.wire, err = packet.Listen(&net.Interface{Index: eth0.Attrs().Index}, packet.Datagram, protocol, nil); err != nil {
			return err
		}
		if s.sender, err = Open(); err != nil {
			return err
		}
		ln, err = net.Listen("tcp", service.String())
		return err
	})
	t.Cleanup(func() { ln.Close(); s.wire.Close(); s.sender.Close() })
	within(t, clientNS, func() error {
		conn, err := net.DialTimeout("tcp", service.String(), patience)
		if err == nil {
			s.client = conn.(*net.TCPConn)
		}
		return err
	})
	t.Cleanup(func() { s.client.Close() })
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	s.conn.Client = s.client.LocalAddr().(*net.TCPAddr).AddrPort()
	s.conn.VIP = s.client.RemoteAddr().(*net.TCPAddr).AddrPort()
	s.greet(t, server)
	if err := hs.AddrDel(eth0, vip); err != nil {
		t.Fatal(err)
	}
	return s
}

// greet sends the client 1000 bytes and waits until it has acknowledged them.
func (s *scene) greet(t *testing.T, server net.Conn) {
	t.Helper()
	if _, err := server.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s.client, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	first, _ := s.next(t) // the handshake's ACK
	for ack := first; ack != first+1000; {
		ack, _ = s.next(t)
	}
	s.conn.LastAck, s.conn.HasAck = first+1000, true
}

// next returns the acknowledgment number of the next packet of the client that
// is no SYN, and its flags.
func (s *scene) next(t *testing.T) (ack uint32, flags uint8) {
	t.Helper()
	if err := s.wire.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	for {
		n, _, err := s.wire.ReadFrom(b)
		if err != nil {
			t.Fatalf("wait for a packet of the client: %v", err)
		}
		const syn = 0x02
		proto := 9 // its place in the header
		if s.header == sixLen {
			proto = 6
		}
		if tcp := b[s.header:n]; n >= s.header+tcpLen && b[proto] == unix.IPPROTO_TCP && tcp[13]&syn == 0 {
			return binary.BigEndian.Uint32(tcp[8:]), tcp[13]
		}
	}
}

// send sends the scene's connection its packets.
func (s *scene) send(t *testing.T) {
	t.Helper()
	if sent, err := s.sender.Send(both(s.conn)); sent != 1 || err != nil {
		t.Fatalf("Send: got %d, %v, want 1 connection", sent, err)
	}
}

func TestResetEndsAnIdleConnection(t *testing.T) {
	for name, scene := range families {
		t.Run(name, func(t *testing.T) { resetEndsAnIdleConnection(t, scene(t)) })
	}
}

func resetEndsAnIdleConnection(t *testing.T, s scene) {
	ended := make(chan error, 1)
	go func() {
		_, err := s.client.Read(make([]byte, 1))
		ended <- err
	}()
	begin := time.Now()
	s.send(t)
	select {
	case err := <-ended:
		if !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the blocked client got %v, want ECONNRESET", err)
		}
		t.Logf("the client was reset after %v", time.Since(begin))
	case <-time.After(patience):
		t.Fatal("the client still waits")
	}
	// The tickle meets no connection: the client's kernel says so.
	if _, flags := s.next(t); flags&flagRST == 0 {
		t.Errorf("the tickle was answered with flags %#x, want a RST", flags)
	}
}

func TestTickleMakesTheClientTellItsNumber(t *testing.T) {
	for name, blur := range map[string]func(*model.Connection){
		"none seen":      func(c *model.Connection) { c.LastAck, c.HasAck = 0, false },
		"outdated":       func(c *model.Connection) { c.LastAck -= 600 },
		"some way ahead": func(c *model.Connection) { c.LastAck += 600 },
	} {
		for family, scene := range families {
			t.Run(name+"/"+family, func(t *testing.T) { tickles(t, scene(t), blur) })
		}
	}
}

func tickles(t *testing.T, s scene, blur func(*model.Connection)) {
	exact := s.conn.LastAck
	blur(&s.conn)
	begin := time.Now()
	s.send(t)
	ack, flags := s.next(t)
	if flags != flagACK || ack != exact {
		t.Fatalf("the client answered flags %#x ack %d, want an ACK of %d", flags, ack, exact)
	}
	t.Logf("the client told its number after %v", time.Since(begin))
	// What the data plane answers to that ends the connection.
	s.conn.LastAck, s.conn.HasAck = ack, true
	s.send(t)
	if err := s.client.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the client got %v, want ECONNRESET", err)
	}
}

func TestUnreachableClientsDoNotStopTheOthers(t *testing.T) {
	s := newScene(t)
	var all []model.Connection
	for i := range 1000 {
		away := s.conn
		away.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), uint16(i+1))
		all = append(all, away)
	}
	six := s.conn
	six.Client = netip.MustParseAddrPort("[2001:db8::1]:873")
	all = append(all, six, s.conn)
	sent, err := s.sender.Send(both(all...))
	if sent != 1 {
		t.Errorf("sent %d, want 1", sent)
	}
	want := "send resets to 1 clients, the first [2001:db8::1]:873: the client and the virtual IP are not of one family\n" +
		"send resets to 1000 clients, the first 203.0.113.0:1: network is unreachable"
	if err == nil || !sameLines(err.Error(), want) {
		t.Errorf("got error\n%v\nwant\n%v", err, want)
	}
	if err := s.client.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the last client got %v, want ECONNRESET", err)
	}
}

// sameLines compares two texts without regard to the order of their lines.
func sameLines(got, want string) bool {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(g) != len(w) {
		return false
	}
	for _, line := range w {
		if !strings.Contains(got, line) {
			return false
		}
	}
	return true
}

func TestSendOnAClosedSender(t *testing.T) {
	ns, _ := newNamespace(t)
	var s *Sender
	within(t, ns, func() (err error) { s, err = Open(); return })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sent, err := s.Send(both(clients(1000)...))
	if sent != 0 || !errors.Is(err, unix.EBADF) {
		t.Errorf("got %d, %v, want 0 and EBADF", sent, err)
	}
	if want := "send resets to 999 clients: not tried after that"; err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("got error\n%v\nwant it to say %q", err, want)
	}
}

// both asks for a tickle for each connection, and a RST where it can be sent.
func both(all ...model.Connection) []Order {
	orders := make([]Order, len(all))
	for i, c := range all {
		orders[i] = Order{Connection: c, RST: c.HasAck, Tickle: true}
	}
	return orders
}

// clients makes n connections of 192.168.10.10.
func clients(n int) []model.Connection {
	all := make([]model.Connection, n)
	for i := range all {
		all[i] = conn
		all[i].Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 10, 10}), uint16(i))
	}
	return all
}

// newWire returns a Sender on one end of a wire and a handle for the client's
// end, 192.168.10.10.
func newWire(t testing.TB) (*Sender, *netlink.Handle) {
	t.Helper()
	clientNS, hc := newNamespace(t)
	senderNS, hs := newNamespace(t)
	wire(t, clientNS, senderNS, hc, hs, "192.168.10.10/24", "192.168.10.1/24")
	var s *Sender
	within(t, senderNS, func() (err error) { s, err = Open(); return })
	t.Cleanup(func() { s.Close() })
	return s, hc
}

func TestSendMany(t *testing.T) {
	s, client := newWire(t)
	before := received(t, client)
	const n = 20000
	all := clients(n)
	packets := uint64(2 * n)
	for i := 0; i < n; i += 3 {
		all[i].HasAck = false // a tickle only
		packets--
	}
	begin := time.Now()
	sent, err := s.Send(both(all...))
	took := time.Since(begin)
	if sent != n || err != nil {
		t.Fatalf("sent %d, %v, want %d", sent, err, n)
	}
	t.Logf("%d connections, %d packets: %v", n, packets, took)
	if took > patience {
		t.Errorf("it took %v", took)
	}
	// The first packets wait for the client's MAC: a few may be lost to that, and
	// some ARP packets come on top.
	if got := received(t, client) - before; got < packets*9/10 || got > packets+100 {
		t.Errorf("the client's interface received %d packets, want about %d", got, packets)
	}
}

// TestDeadClientsDoNotStallTheOthers sends to clients of the same network that
// are gone: their packets stay in the send buffer until ARP gives up, after 3 s.
func TestDeadClientsDoNotStallTheOthers(t *testing.T) {
	s, client := newWire(t)
	all := clients(12 * 200)
	for i := range all[:10*200] {
		all[i].Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 10, byte(100 + i/200)}), uint16(i))
	}
	before := received(t, client)
	begin := time.Now()
	sent, err := s.Send(both(all...))
	if took := time.Since(begin); sent != len(all) || err != nil || took > stall/2 {
		t.Errorf("sent %d, %v in %v, want %d at once", sent, err, took, len(all))
	}
	if got := received(t, client) - before; got < 2*2*200*9/10 {
		t.Errorf("the living client received %d packets, want about %d", got, 2*2*200)
	}
}

func BenchmarkSend(b *testing.B) {
	s, _ := newWire(b)
	orders := both(clients(20000)...)
	for b.Loop() {
		if _, err := s.Send(orders); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20000, "ns/connection")
}

func received(t testing.TB, h *netlink.Handle) uint64 {
	t.Helper()
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return eth0.Attrs().Statistics.RxPackets
}
