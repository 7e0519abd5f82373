package lab

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"fairlead/internal/api"
	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/site"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// keepVar makes the fake director keep old connections on their server at a
// switch, as the note's recipe does at the way back.
const keepVar = "FAIRLEAD_FAKE_KEEPS"

// fakeDirector stands in for the director's programme in tests of the lab
// itself: it forwards in user space, with one check of nfs-01, and keeps no
// promise but those that the lab looks at.
type fakeDirector struct {
	api.Daemon     // nil: the lab asks for nothing else
	raw        int // packet socket on eth0
	mac        model.MAC
	keep       bool // see keepVar

	mu     sync.Mutex // guards the following
	active int        // index of site.ServerSpecs
	epoch  uint64
	conns  map[tuple]fakeConn
	last   *model.Switch
}

type tuple struct {
	client netip.Addr
	port   uint16 // of the client
	to     uint16
}

type fakeConn struct {
	client model.MAC
	ack    uint32 // the client's last
	server int
}

// runFake is `fairlead run` for the tests.
func runFake(args []string) error {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	for _, ignored := range []string{"f", "pin-dir", "state-dir", "attach", "connections"} {
		f.String(ignored, "", "")
	}
	socket := f.String("socket", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	d, err := openFake()
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", *socket)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, func() { os.Exit(0) }) // the packet socket blocks
	g.Go(func() error { return api.New(l, slog.Default()).Run(ctx, d) })
	g.Go(func() error { return d.forward() })
	g.Go(func() error { return d.check(ctx) })
	return g.Wait()
}

func openFake() (*fakeDirector, error) {
	iface, err := net.InterfaceByName(topology.HostIface)
	if err != nil {
		return nil, err
	}
	const all = uint16(unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8) // in network byte order
	raw, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(raw, &unix.SockaddrLinklayer{Protocol: all, Ifindex: iface.Index}); err != nil {
		return nil, err
	}
	// All windows of all clients fit in: a lost frame would stall one of them.
	if err := unix.SetsockoptInt(raw, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20); err != nil {
		return nil, err
	}
	return &fakeDirector{raw: raw, mac: model.MAC(iface.HardwareAddr), keep: os.Getenv(keepVar) != "", conns: map[tuple]fakeConn{}}, nil
}

// serverMAC follows from the address: see package topology.
func serverMAC(i int) model.MAC {
	ip := site.ServerSpecs[i].Addr.Addr().As4()
	return model.MAC{0x02, 0x46, ip[0], ip[1], ip[2], ip[3]}
}

func (d *fakeDirector) forward() error {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(d.raw, buf, 0)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if out := d.handle(buf[:n]); out != nil {
			unix.Write(d.raw, out) // a lost frame is what TCP is for
		}
	}
}

// handle returns the frame to send, nil for none.
func (d *fakeDirector) handle(f []byte) []byte {
	if len(f) < 42 || model.MAC(f[6:12]) == d.mac {
		return nil
	}
	ip := site.VIP.As4()
	switch binary.BigEndian.Uint16(f[12:]) {
	case unix.ETH_P_ARP:
		if f[21] != 1 || [4]byte(f[38:42]) != ip { // a request for the virtual IP
			return nil
		}
		out := append([]byte{}, f[:42]...)
		copy(out, f[6:12])
		copy(out[6:], d.mac[:])
		out[21] = 2
		copy(out[32:], f[22:32]) // the asker becomes the target
		copy(out[22:], d.mac[:])
		copy(out[28:], ip[:])
		return out
	case unix.ETH_P_IP:
		if [4]byte(f[30:34]) != ip || model.MAC(f[:6]) != d.mac || f[23] != unix.IPPROTO_TCP || len(f) < 54 {
			return nil
		}
		return d.tcp(f)
	}
	return nil
}

func (d *fakeDirector) tcp(f []byte) []byte {
	const syn, rst, ackFlag = 2, 4, 16
	key := tuple{netip.AddrFrom4([4]byte(f[26:30])), binary.BigEndian.Uint16(f[34:]), binary.BigEndian.Uint16(f[36:])}
	flags := f[47]
	d.mu.Lock()
	defer d.mu.Unlock()
	c, known := d.conns[key]
	if flags&syn != 0 || !known {
		c = fakeConn{client: model.MAC(f[6:12]), server: d.active}
	}
	if flags&ackFlag != 0 {
		c.ack = binary.BigEndian.Uint32(f[42:])
	}
	d.conns[key] = c
	if c.server != d.active && flags&rst == 0 && !d.keep {
		return d.reset(key, c)
	}
	mac := serverMAC(c.server)
	copy(f, mac[:])
	copy(f[6:], d.mac[:])
	return f
}

// reset is an RST for a connection, as its server would send it.
func (d *fakeDirector) reset(key tuple, c fakeConn) []byte {
	f := make([]byte, 54)
	copy(f, c.client[:])
	copy(f[6:], d.mac[:])
	copy(f[12:], []byte{8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, unix.IPPROTO_TCP})
	from, to := site.VIP.As4(), key.client.As4()
	copy(f[26:], from[:])
	copy(f[30:], to[:])
	binary.BigEndian.PutUint16(f[24:], checksum(f[14:34], 0))
	binary.BigEndian.PutUint16(f[34:], key.to)
	binary.BigEndian.PutUint16(f[36:], key.port)
	binary.BigEndian.PutUint32(f[38:], c.ack)
	f[46], f[47] = 5<<4, 4
	binary.BigEndian.PutUint16(f[50:], checksum(append(append([]byte{}, f[26:34]...), f[34:]...), unix.IPPROTO_TCP+20))
	return f
}

func checksum(b []byte, sum uint32) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// check probes nfs-01 five times a second, for half a second at most.
func (d *fakeDirector) check(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		addr := netip.AddrPortFrom(site.ServerSpecs[0].Addr.Addr(), 2049).String()
		c, err := net.DialTimeout("tcp4", addr, 500*time.Millisecond)
		if err == nil {
			c.Close()
			continue
		}
		d.change(1, model.ReasonFailed)
	}
}

func (d *fakeDirector) change(to int, why model.Reason) model.Switch {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.active == to {
		return model.Switch{}
	}
	s := model.Switch{From: site.ServerSpecs[d.active].Name, To: site.ServerSpecs[to].Name, Reason: why, Epoch: d.epoch + 1, DecidedMono: int64(clock.Now())}
	d.active = to
	d.epoch++
	s.AppliedMono = int64(clock.Now())
	for key, c := range d.conns {
		if d.keep {
			break
		}
		unix.Write(d.raw, d.reset(key, c))
		s.Known++
		s.Reset++
	}
	s.ResetMono = int64(clock.Now())
	d.last = &s
	return s
}

func (d *fakeDirector) Status() model.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := model.DirectorStatus{Name: site.DirectorName, Applied: site.ServerSpecs[d.active].Name, Epoch: d.epoch, LastSwitch: d.last}
	for i, s := range site.ServerSpecs {
		st.Servers = append(st.Servers, model.ServerStatus{Name: s.Name, MAC: serverMAC(i), Health: model.HealthUp})
	}
	return model.Status{Directors: []model.DirectorStatus{st},
		Interfaces: []model.InterfaceStatus{{Name: topology.HostIface, Applied: "fake"}}}
}

func (d *fakeDirector) Order(_ context.Context, _ model.Actor, order api.Order) (api.Ordered, error) {
	ref := model.ServerRef{Director: order.Director, Server: order.Server}
	for i, s := range site.ServerSpecs {
		if s.Name == ref.Server {
			done := d.change(i, model.ReasonOperator)
			return api.Ordered{Switch: &done}, nil
		}
	}
	return api.Ordered{}, fmt.Errorf("no server %v", ref)
}

func (d *fakeDirector) Events(context.Context, api.Since, bool, func(model.Event) error) error {
	return nil
}

func (d *fakeDirector) Reload(context.Context, model.Actor) (api.Reloaded, error) {
	return api.Reloaded{}, nil
}

func (d *fakeDirector) Capture(ctx context.Context, _ int, _ func(api.Packet) error) error {
	return nil
}
