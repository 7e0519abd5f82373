package probe

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"fairlead/internal/arp"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// answering answers each frame of a kind (an EtherType) that reaches a host with as many
// frames as answer makes of it, until the test ends. The host's kernel is silent.
func answering(t *testing.T, h *topology.Host, kind uint16, answer func(frame []byte) [][]byte) {
	t.Helper()
	var conn *packet.Conn
	err := h.Do(func() error {
		for name, value := range map[string]string{"icmp_echo_ignore_all": "1", "conf/all/arp_ignore": "8"} {
			if kind == unix.ETH_P_IP && name != "icmp_echo_ignore_all" {
				continue // the address must be found
			}
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
				return err
			}
		}
		ifi, err := net.InterfaceByName(topology.HostIface)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, int(kind), nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		for frame := make([]byte, 2048); ; {
			n, _, err := conn.ReadFrom(frame)
			if err != nil {
				return // the test has ended
			}
			for _, b := range answer(append([]byte(nil), frame[:n]...)) {
				conn.WriteTo(b, &packet.Addr{HardwareAddr: b[:6]})
			}
		}
	}()
}

// echoAnswer is the right answer to a frame with an echo request; nil: it has none.
func echoAnswer(frame []byte) []byte {
	const at, ip = arp.HeaderLen + 20, arp.HeaderLen
	if len(frame) < at+echoLen || frame[ip] != 0x45 || frame[ip+9] != unix.IPPROTO_ICMP || frame[at] != echoRequest {
		return nil
	}
	b := frame[:at+echoLen]
	swap(b[:6], b[6:12])
	swap(b[ip+12:ip+16], b[ip+16:ip+20])
	b[at] = echoReply
	return sum(b)
}

// sum makes the checksum of the ICMP message right.
func sum(b []byte) []byte {
	p := b[arp.HeaderLen+20:]
	p[2], p[3] = 0, 0
	binary.BigEndian.PutUint16(p[2:], checksum(p[:len(p)&^1]))
	return b
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

// TestHostileEcho: only the answer to this very question passes icmpcheck; whatever
// else comes, and however much, costs neither more time than the timeout nor memory.
func TestHostileEcho(t *testing.T) {
	const at, none = arp.HeaderLen + 20, "no answer to an ICMP echo request from 192.168.10.100 within 300ms"
	other := func(i int) func([]byte) [][]byte { // another byte i of the message
		return func(b []byte) [][]byte { b[at+i]++; return [][]byte{sum(b)} }
	}
	for name, tt := range map[string]struct {
		do   func(right []byte) [][]byte
		want string
	}{
		"right":              {func(b []byte) [][]byte { return [][]byte{b} }, ""},
		"right, after a lie": {func(b []byte) [][]byte { return append(other(9)(bytes.Clone(b)), b) }, ""},
		"a request":          {func(b []byte) [][]byte { b[at] = echoRequest; return [][]byte{sum(b)} }, none},
		"other identifier":   {other(4), none},
		"other sequence":     {other(6), none},
		"other token":        {other(echoLen - 1), none},
		"cut":                {func(b []byte) [][]byte { return [][]byte{cut(b, 4)} }, none},
		"nothing but a type": {func(b []byte) [][]byte { return [][]byte{cut(b, echoLen-1)} }, none},
		"longer":             {func(b []byte) [][]byte { return [][]byte{cut(append(b, make([]byte, 1000)...), 0)} }, none},
		"from another one":   {func(b []byte) [][]byte { b[arp.HeaderLen+15]++; return [][]byte{header(b)} }, none},
		"a flood of lies": {func(b []byte) (all [][]byte) {
			for range 5000 {
				all = append(all, other(9)(bytes.Clone(b))...)
			}
			return all
		}, none},
	} {
		t.Run(name, func(t *testing.T) {
			director, server := segment(t, topology.Spec{Name: "server", Addr: serverAddr})
			answering(t, server, unix.ETH_P_IP, func(frame []byte) [][]byte {
				if right := echoAnswer(frame); right != nil {
					return tt.do(right)
				}
				return nil
			})
			hostileAsk(t, director, model.CheckICMP, tt.want)
		})
	}
}

// cut takes bytes off the end of a frame, and mends its lengths.
func cut(b []byte, n int) []byte {
	b = b[:len(b)-n]
	binary.BigEndian.PutUint16(b[arp.HeaderLen+2:], uint16(len(b)-arp.HeaderLen))
	if len(b) >= arp.HeaderLen+24 {
		sum(b)
	}
	return header(b)
}

// header makes the checksum of the IPv4 header right.
func header(b []byte) []byte {
	h := b[arp.HeaderLen:][:20]
	h[10], h[11] = 0, 0
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return b
}

// TestHostileARP: the same of arpcheck.
func TestHostileARP(t *testing.T) {
	const none = "no answer to ARP from 192.168.10.100 within 300ms"
	mac := model.MAC{2, 0, 0, 0, 0, 9}
	right := func(to arp.Packet) arp.Packet {
		return arp.Packet{Op: arp.Reply, SenderMAC: mac, Sender: serverAddr.Addr(), TargetMAC: to.SenderMAC, Target: to.Sender}
	}
	byte1 := func(i int) func(arp.Packet) [][]byte { // another byte i of the frame
		return func(p arp.Packet) [][]byte { b := right(p).Frame(); b[i]++; return [][]byte{b} }
	}
	for name, tt := range map[string]struct {
		do   func(asked arp.Packet) [][]byte
		want string
	}{
		"right":            {func(p arp.Packet) [][]byte { return [][]byte{right(p).Frame()} }, ""},
		"a question":       {func(p arp.Packet) [][]byte { p = right(p); p.Op = arp.Request; return [][]byte{p.Frame()} }, none},
		"of another one":   {func(p arp.Packet) [][]byte { p = right(p); p.Sender = nobody; return [][]byte{p.Frame()} }, none},
		"other hardware":   {byte1(arp.HeaderLen + 1), none},
		"other protocol":   {byte1(arp.HeaderLen + 3), none},
		"longer addresses": {byte1(arp.HeaderLen + 4), none},
		"cut":              {func(p arp.Packet) [][]byte { return [][]byte{right(p).Frame()[:arp.HeaderLen+arp.Len-8]} }, none},
		"empty":            {func(p arp.Packet) [][]byte { return [][]byte{right(p).Frame()[:arp.HeaderLen]} }, none},
		"a flood of lies": {func(p arp.Packet) (all [][]byte) {
			for range 5000 {
				all = append(all, byte1(arp.HeaderLen+17)(p)...)
			}
			return all
		}, none},
	} {
		t.Run(name, func(t *testing.T) {
			director, server := segment(t, topology.Spec{Name: "server", Addr: serverAddr})
			answering(t, server, unix.ETH_P_ARP, func(frame []byte) [][]byte {
				p, err := arp.Parse(frame[min(len(frame), arp.HeaderLen):])
				if err != nil || p.Op != arp.Request || p.Target != serverAddr.Addr() {
					return nil
				}
				all := tt.do(p)
				for _, b := range all {
					copy(b, p.SenderMAC[:]) // however broken, it arrives
				}
				return all
			})
			hostileAsk(t, director, model.CheckARP, tt.want)
		})
	}
}

// hostileAsk makes one check, and looks at its time and memory.
func hostileAsk(t *testing.T, director *topology.Host, kind model.CheckKind, want string) {
	t.Helper()
	timeout := patience
	if want != "" {
		timeout = short
	}
	target := Target{Addr: serverAddr.Addr(), Tests: []model.Test{{Kind: kind}}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	got := from(t, director, target.question(target.Tests[0], target.Addr), timeout)
	runtime.ReadMemStats(&after)
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("it took %v", took)
	}
	if kept := int64(after.HeapInuse) - int64(before.HeapInuse); kept > 16<<20 {
		t.Errorf("it uses %d bytes", kept)
	}
}
