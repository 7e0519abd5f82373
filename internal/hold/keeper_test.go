package hold

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var start = time.Unix(1000, 0)

// syn is a whole frame with a SYN of that client port and sequence number.
func syn(t testing.TB, port uint16, seq uint32) []byte {
	t.Helper()
	return synOf(t, &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IPv4(192, 168, 10, 10), DstIP: net.IPv4(192, 168, 10, 50)}, port, seq)
}

func synOfSix(t testing.TB, port uint16, seq uint32) []byte {
	t.Helper()
	return synOf(t, &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("2001:db8::10"), DstIP: net.ParseIP("2001:db8::50")}, port, seq)
}

func synOf(t testing.TB, ip interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}, port uint16, seq uint32) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	length := ethernet + 20 + 24
	if ip.LayerType() == layers.LayerTypeIPv6 {
		eth.EthernetType, length = layers.EthernetTypeIPv6, ethernet+40+24
	}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(port), DstPort: 2049, Seq: seq, SYN: true, Window: 64000,
		Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, tcp); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()[:length] // without the padding
}

func frames(kept []Kept) (all [][]byte) {
	for _, k := range kept {
		all = append(all, k.Frame)
	}
	return all
}

func equal(a, b [][]byte) bool { return slices.EqualFunc(a, b, slices.Equal[[]byte]) }

func TestKeepAndTake(t *testing.T) {
	k := New(10)
	a, b, c := syn(t, 1, 1), syn(t, 2, 2), syn(t, 3, 3)
	reused := slices.Clone(a) // the caller's buffer
	if !k.Keep("nfs", reused, 7, start) || !k.Keep("web", b, 8, start) || !k.Keep("nfs", c, 9, start.Add(1)) {
		t.Fatal("a SYN was not kept")
	}
	clear(reused)
	if k.Count("nfs") != 2 || k.Count("web") != 1 || k.Count("dns") != 0 {
		t.Errorf("counts %d %d %d, want 2 1 0", k.Count("nfs"), k.Count("web"), k.Count("dns"))
	}
	got := k.Take("nfs")
	if !equal(frames(got), [][]byte{a, c}) || got[0].Iface != 7 || !got[1].At.Equal(start.Add(1)) {
		t.Errorf("took %+v", got)
	}
	if k.Count("nfs") != 0 || len(k.Take("nfs")) != 0 || k.Count("web") != 1 {
		t.Error("what was taken is still there, or more than that is gone")
	}
}

func TestRepeatTakesThePlaceOfTheOlder(t *testing.T) {
	k := New(2)
	k.Keep("nfs", syn(t, 1, 1), 7, start)
	other, again := syn(t, 2, 2), syn(t, 1, 99)
	k.Keep("nfs", other, 7, start)
	if !k.Keep("nfs", again, 8, start.Add(time.Second)) {
		t.Error("a repeat needs no room, and was refused")
	}
	got := k.Take("nfs")
	if !equal(frames(got), [][]byte{again, other}) || got[0].Iface != 8 || !got[0].At.Equal(start.Add(time.Second)) {
		t.Errorf("took %+v", got)
	}
}

func TestKeeperIsBounded(t *testing.T) {
	k := New(3)
	for i := range uint16(3) {
		if !k.Keep([]string{"nfs", "web"}[i%2], syn(t, i, 0), 1, start) {
			t.Fatalf("SYN %d was refused", i)
		}
	}
	if k.Keep("nfs", syn(t, 9, 0), 1, start) {
		t.Error("more was kept than there is room for")
	}
	k.Take("web")
	if !k.Keep("nfs", syn(t, 9, 0), 1, start) || k.Keep("nfs", syn(t, 10, 0), 1, start) {
		t.Error("what was taken did not make room for exactly one")
	}
}

func TestExpire(t *testing.T) {
	k := New(3)
	k.Keep("nfs", syn(t, 1, 0), 1, start)
	k.Keep("nfs", syn(t, 2, 0), 1, start)
	k.Keep("web", syn(t, 3, 0), 1, start)
	k.Keep("nfs", syn(t, 1, 0), 1, start.Add(time.Second)) // this client still wants
	if n := k.Expire(start); n != 0 {
		t.Errorf("%d expired at their own instant", n)
	}
	if n := k.Expire(start.Add(time.Second)); n != 2 || k.Count("nfs") != 1 || k.Count("web") != 0 {
		t.Errorf("%d expired, %d and %d are left, want 2, 1 and 0", n, k.Count("nfs"), k.Count("web"))
	}
	for i := range uint16(2) {
		if !k.Keep("nfs", syn(t, 20+i, 0), 1, start) {
			t.Error("what expired made no room")
		}
	}
}

func TestKeepSix(t *testing.T) {
	k := New(10)
	a, b := synOfSix(t, 1, 1), synOfSix(t, 2, 2)
	if !k.Keep("nfs", a, 7, start) || !k.Keep("nfs", b, 7, start) || !k.Keep("nfs", a, 7, start) {
		t.Fatal("a SYN was not kept")
	}
	if got := k.Take("nfs"); !equal(frames(got), [][]byte{a, b}) {
		t.Errorf("took %+v", got)
	}
	for n := range a {
		if k.Keep("nfs", a[:n], 1, start) {
			t.Errorf("the first %d of %d bytes were kept", n, len(a))
		}
	}
	for what, at := range map[string][2]byte{"version 4": {14, 0x40}, "UDP": {20, 17}, "too short for a TCP": {19, 19}} {
		if b := slices.Clone(a); true {
			b[at[0]] = at[1]
			if k.Keep("nfs", b, 1, start) {
				t.Errorf("%s was kept", what)
			}
		}
	}
}

func TestOnlyTCP(t *testing.T) {
	good := syn(t, 1, 1)
	k := New(1000)
	for n := range len(good) {
		if k.Keep("nfs", good[:n], 1, start) {
			t.Errorf("the first %d of %d bytes were kept", n, len(good))
		}
	}
	for what, spoil := range map[string]func(b []byte){
		"called IPv6":         func(b []byte) { b[12], b[13] = 0x86, 0xdd },
		"version 6":           func(b []byte) { b[14] = 0x65 },
		"a short header":      func(b []byte) { b[14] = 0x44 },
		"a header too long":   func(b []byte) { b[14] = 0x4f },
		"UDP":                 func(b []byte) { b[23] = 17 },
		"a first fragment":    func(b []byte) { b[20] = 0x20 },
		"a later fragment":    func(b []byte) { b[21] = 1 },
		"too short for a TCP": func(b []byte) { b[17] = 39 },
	} {
		b := slices.Clone(good)
		spoil(b)
		if k.Keep("nfs", b, 1, start) {
			t.Errorf("%s was kept", what)
		}
	}
	if !k.Keep("nfs", append(slices.Clone(good), 0, 0), 1, start) {
		t.Error("a frame with padding was refused")
	}
}

func TestChecksumLeftToHardware(t *testing.T) {
	for _, make := range []func(testing.TB, uint16, uint32) []byte{syn, synOfSix} {
		for port := range uint16(2000) {
			want := make(t, port, uint32(port)*0x01010101)
			frame := slices.Clone(want)
			s, _ := segmentOf(frame)
			pseudo := fold(sum(0, s.addresses) + 6 + uint32(len(s.tcp)))
			s.tcp[16], s.tcp[17] = byte(pseudo>>8), byte(pseudo)
			k := New(1)
			k.Keep("nfs", frame, 1, start)
			if got := k.Take("nfs")[0].Frame; !slices.Equal(got, want) {
				t.Fatalf("port %d: got %x, want %x", port, got, want)
			}
		}
	}
	wrong := syn(t, 1, 1)
	wrong[50]++
	if got := complete(slices.Clone(wrong)); !slices.Equal(got, wrong) {
		t.Error("a wrong checksum was mended")
	}
}
