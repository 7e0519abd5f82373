package dataplane

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// tagged puts a VLAN tag into a frame.
func tagged(frame []byte, kind, vlan uint16) []byte {
	tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, kind), vlan)
	return slices.Concat(frame[:12], tag, frame[12:])
}

// cable receives what leaves eth0, with its tag, which the kernel tells beside.
type cable struct{ fd int }

func listen(t testing.TB) cable {
	t.Helper()
	eth1, err := net.InterfaceByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: eth1.Index}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return cable{fd}
}

// next is the next frame to a MAC address, as it was on the cable.
func (c cable) next(t testing.TB, to model.MAC) []byte {
	t.Helper()
	b, oob := make([]byte, 2048), make([]byte, 256)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		n, oobn, _, _, err := unix.Recvmsg(c.fd, b, oob, 0)
		if err != nil {
			t.Fatalf("wait for a frame to %v: %v", to, err)
		}
		if n < 14 || model.MAC(b[:6]) != to {
			continue
		}
		frame := bytes.Clone(b[:n])
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages { // struct tpacket_auxdata of linux/if_packet.h
			if m.Header.Type == unix.PACKET_AUXDATA && binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
				frame = tagged(frame, binary.NativeEndian.Uint16(m.Data[18:]), binary.NativeEndian.Uint16(m.Data[16:]))
			}
		}
		return frame
	}
	t.Fatalf("no frame to %v", to)
	return nil
}

// Tagged frames on an interface, with one tag or two, go on with their tags; ARP and
// neighbour discovery are answered in them.
func TestVLAN(t *testing.T) {
	const q, ad = unix.ETH_P_8021Q, unix.ETH_P_8021AD
	for name, tag := range map[string]func([]byte) []byte{
		"none":   slices.Clone[[]byte],
		"802.1Q": func(f []byte) []byte { return tagged(f, q, 100) },
		"QinQ":   func(f []byte) []byte { return tagged(tagged(f, q, 7), ad, 200) },
	} {
		for _, mode := range []model.AttachMode{model.AttachTCX, model.AttachGeneric, model.AttachNative} {
			t.Run(name+"/"+mode.String(), func(t *testing.T) {
				site := newSite(t)
				site.detachAfter(t)
				site.within(t, func() error {
					p := site.open(t, mode)
					defer closePlane(t, p)
					d := onSite()
					d.Rules.VIPs = append(d.Rules.VIPs, model.VIP{Addr: vip6, Announce: true})
					d.Rules.Rules = leads("nfs", "nfs", to(vipAddr), to(vip6))
					apply(t, p, d)
					tagsGoOn(t, p, mode, tag)
					return nil
				})
			})
		}
	}
}

func tagsGoOn(t *testing.T, p *Plane, mode model.AttachMode, tag func([]byte) []byte) {
	if mode == model.AttachNative { // what it sends back arrives at a programme only
		eth1, err := net.InterfaceByName("eth1")
		if err != nil {
			t.Fatal(err)
		}
		pass, err := AttachPass(eth1.Index)
		if err != nil {
			t.Fatal(err)
		}
		defer pass.Close()
	}
	wire := listen(t)
	for _, frame := range [][]byte{frameSpec{flags: synFlag}.bytes(t), frameSpec{dst: vip6, flags: synFlag}.bytes(t),
		frameSpec{flags: ackFlag, payload: 900}.bytes(t), frameSpec{proto: 17, payload: 900}.bytes(t)} {
		inject(t, tag(frame))
		if got, want := wire.next(t, serverMAC1), tag(sent(serverMAC1, frame)); !bytes.Equal(got, want) {
			t.Errorf("sent on as\n%x, want\n%x", got, want)
		}
	}
	inject(t, tag(arpSpec{}.bytes()))
	reply := arpSpec{to: clientMAC, sender: directorMAC, from: vipAddr, targetMAC: clientMAC, target: clientAddr, operation: 2}
	if got, want := wire.next(t, clientMAC), tag(reply.bytes()); !bytes.Equal(got, want) {
		t.Errorf("ARP was answered with\n%x, want\n%x", got, want)
	}
	inject(t, tag(solicitation{}.bytes(t)))
	if got, want := wire.next(t, clientMAC), tag(advertisement(t, clientMAC, client6, true)); !bytes.Equal(got, want) {
		t.Errorf("neighbour discovery was answered with\n%x, want\n%x", got, want)
	}
	forwarded(t, p, 4)
}

// In XDP tags are in the frame: whatever lies behind them, what is not claimed passes
// as it was, at whatever byte it is cut.
func TestTaggedPassUntouched(t *testing.T) {
	const q, ad = unix.ETH_P_8021Q, unix.ETH_P_8021AD
	data := frameSpec{flags: ackFlag, payload: 4}.bytes(t)
	other := frameSpec{flags: ackFlag, dst: otherAddr, payload: 4}.bytes(t)
	for _, h := range hooks {
		p := h.plane(t, 1000)
		fresh.build(t, p, h)
		for _, whole := range [][]byte{tagged(data, q, 1), tagged(tagged(data, q, 1), ad, 2), tagged(tagged(tagged(data, q, 1), q, 2), ad, 3)} {
			headers := len(whole) - len(data) + 54
			for n := max(h.shortest, 14); n < headers; n++ {
				if result, out := h.run(t, p, whole[:n]); result == h.send || result == h.pass && !bytes.Equal(out, whole[:n]) {
					t.Errorf("%s: %d of %d bytes: returned %d and %x", h.name, n, len(whole), int32(result), out)
				}
			}
		}
		for what, frame := range map[string][]byte{
			"another address":  tagged(other, q, 1),
			"another address ": tagged(tagged(other, q, 1), ad, 1),
			"three tags":       tagged(tagged(tagged(data, q, 1), q, 2), ad, 3),
			"another MAC":      tagged(frameSpec{flags: ackFlag, to: strangerMAC}.bytes(t), q, 1),
			"another type":     tagged(change(data, 12, 0x88, 0xcc), q, 1),
		} {
			if result, out := h.run(t, p, frame); result != h.pass || !bytes.Equal(out, frame) {
				t.Errorf("%s, %s: returned %d and %x", h.name, what, int32(result), out)
			}
		}
	}
	// an old connection is reset within its tags
	p := newPlane(t, 1000)
	after.build(t, p, hooks[0])
	in := frameSpec{flags: ackFlag, ack: 4711}.bytes(t)
	result, out := hooks[0].run(t, p, tagged(tagged(in, q, 1), ad, 2))
	if result != hooks[0].send || len(out) != 62 || !bytes.Equal(out[12:20], tagged(tagged(in, q, 1), ad, 2)[12:20]) {
		t.Fatalf("returned %d and %x", int32(result), out)
	}
	checkReset(t, in, slices.Concat(out[:12], out[20:]), 4711)
}
