package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// report is what one run gives.
type report struct {
	Sent     int   `json:"sent"`
	Received int   `json:"received"` // frames that came back meanwhile
	Time     int64 `json:"ns"`
}

const (
	warm    = 2000 // packets that come before those that are measured
	payload = 24   // bytes of a datagram: with them it is as long as an acknowledgment with options
)

// send sends packets of many connections in turn, of the least length, and tells how
// long that took: meter send INTERFACE MAC CLIENT SERVICE tcp|udp CONNECTIONS PACKETS.
// Each TCP connection begins with a SYN, before the time runs.
func send(args []string) error {
	if len(args) != 7 {
		return fmt.Errorf("send: want an interface, a MAC, a client, a service, a protocol, and the numbers of connections and packets; got %q", args)
	}
	iface, err := net.InterfaceByName(args[0])
	if err != nil {
		return fmt.Errorf("find the interface %s: %w", args[0], err)
	}
	to, err1 := net.ParseMAC(args[1])
	client, err2 := netip.ParseAddr(args[2])
	service, err3 := netip.ParseAddrPort(args[3])
	connections, err4 := strconv.Atoi(args[5])
	packets, err5 := strconv.Atoi(args[6])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return fmt.Errorf("read what to send: %w", err)
	}
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err == nil {
		err = errors.Join(unix.SetsockoptInt(socket, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
			unix.Bind(socket, &unix.SockaddrLinklayer{Ifindex: iface.Index}))
	}
	if err != nil {
		return fmt.Errorf("open a socket for frames: %w", err)
	}
	defer unix.Close(socket)
	c := course{socket: uintptr(socket)}
	for i := range connections {
		from := netip.AddrPortFrom(client, uint16(10000+i))
		var syn, ack *layers.TCP
		if args[4] == "tcp" {
			syn, ack = &layers.TCP{SYN: true, Seq: 1}, &layers.TCP{ACK: true, Seq: 2, Ack: 7}
			first, err := frame(iface.HardwareAddr, to, from, service, syn)
			if err != nil {
				return err
			}
			c.begin = append(c.begin, first)
		}
		next, err := frame(iface.HardwareAddr, to, from, service, ack)
		if err != nil {
			return err
		}
		c.goOn = append(c.goOn, next)
	}
	r, err := c.run(packets)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// course is what is sent, and by what socket.
type course struct {
	socket      uintptr
	begin, goOn [][]byte
}

// run sends everything. Nothing else of this process may take instructions meanwhile.
func (c course) run(packets int) (r report, err error) {
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := c.send(c.begin, len(c.begin)); err != nil {
		return r, err
	}
	if err := c.send(c.goOn, max(warm, len(c.goOn))); err != nil {
		return r, err
	}
	before, err := received()
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := c.send(c.goOn, packets); err != nil {
		return r, err
	}
	r.Time = time.Since(began).Nanoseconds()
	after, err := received()
	r.Sent, r.Received = packets, after-before
	return r, err
}

// send sends n packets. The runtime does not hear of these system calls: it would
// look after each of them, now and then, and at no fixed times.
func (c course) send(frames [][]byte, n int) error {
	for i, at := 0, 0; i < n; i, at = i+1, at+1 {
		if at == len(frames) {
			at = 0
		}
		b := frames[at]
		if _, _, err := unix.RawSyscall(unix.SYS_WRITE, c.socket, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))); err != 0 {
			return fmt.Errorf("send packet %d: %w", i, err)
		}
	}
	return nil
}

// frame is an Ethernet frame with a datagram, or with a TCP segment.
func frame(from, to net.HardwareAddr, client, service netip.AddrPort, tcp *layers.TCP) ([]byte, error) {
	var transport interface {
		gopacket.SerializableLayer
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	} = tcp
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: client.Addr().AsSlice(), DstIP: service.Addr().AsSlice()}
	if tcp == nil {
		transport = &layers.UDP{SrcPort: layers.UDPPort(client.Port()), DstPort: layers.UDPPort(service.Port())}
	} else {
		ip.Protocol = layers.IPProtocolTCP
		tcp.SrcPort, tcp.DstPort, tcp.Window = layers.TCPPort(client.Port()), layers.TCPPort(service.Port()), 1000
	}
	var data gopacket.Payload
	if tcp == nil {
		data = make([]byte, payload)
	}
	err := transport.SetNetworkLayerForChecksum(ip)
	b := gopacket.NewSerializeBuffer()
	if err == nil {
		err = gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
			&layers.Ethernet{SrcMAC: from, DstMAC: to, EthernetType: layers.EthernetTypeIPv4}, ip, transport, data)
	}
	if err != nil {
		return nil, fmt.Errorf("make a frame: %w", err)
	}
	return b.Bytes(), nil
}

// received is how many frames the interfaces of this namespace have received.
func received() (n int, err error) {
	text, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return 0, fmt.Errorf("read the counters of the interfaces: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		name, values, found := strings.Cut(line, ":")
		fields := strings.Fields(values)
		if !found || strings.TrimSpace(name) == "lo" || len(fields) < 2 {
			continue
		}
		frames, err := strconv.Atoi(fields[1])
		if err != nil {
			return 0, fmt.Errorf("read the counters of %s: %w", name, err)
		}
		n += frames
	}
	return n, nil
}
