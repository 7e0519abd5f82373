package witness

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var (
	servers = []string{"nfs-01", "nfs-02"}
	tuple   = Tuple{netip.MustParseAddr("192.168.10.10"), 700, 2049}
	other   = Tuple{netip.MustParseAddr("192.168.10.10"), 701, 2049}
)

func syn(at int64, t Tuple, server uint8, isn uint32) Packet {
	return Packet{At: instant(at), Tuple: t, Server: server, Flags: SYN, Seq: isn}
}

func data(at int64, t Tuple, server uint8) Packet {
	return Packet{At: instant(at), Tuple: t, Server: server, Flags: ACK | PSH, Payload: 100}
}

func bare(at int64, t Tuple, server uint8, flags uint8) Packet {
	return Packet{At: instant(at), Tuple: t, Server: server, Flags: flags}
}

func answer(at int64, t Tuple, server uint8) Packet {
	p := data(at, t, server)
	p.FromServer = true
	return p
}

// numbered is a client's ACK without data.
func numbered(at int64, t Tuple, server uint8, seq uint32) Packet {
	return Packet{At: instant(at), Tuple: t, Server: server, Flags: ACK, Seq: seq}
}

// at100 is the switch of most cases: from nfs-01 to nfs-02, somewhere between
// 90 and 110.
var at100 = []Turn{{90, 110, 1}}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name          string
		packets       []Packet
		turns         []Turn
		conns         int
		split, astray int
	}{
		{"nothing", nil, nil, 0, 0, 0},
		{"one server", []Packet{syn(1, tuple, 0, 5), data(2, tuple, 0), answer(3, tuple, 0)}, nil, 1, 0, 0},
		{"a switch: the port is used again", []Packet{
			syn(1, tuple, 0, 5), data(2, tuple, 0), syn(120, tuple, 1, 6), data(121, tuple, 1)}, at100, 2, 0, 0},
		{"data of one connection on both", []Packet{syn(1, tuple, 0, 5), data(2, tuple, 0), data(120, tuple, 1)}, at100, 1, 1, 0},
		{"an ACK without data on both", []Packet{syn(1, tuple, 0, 5), bare(120, tuple, 1, ACK)}, at100, 1, 1, 0},
		{"one SYN on both, once accepted", []Packet{syn(1, tuple, 0, 5), numbered(2, tuple, 0, 6), syn(120, tuple, 1, 5)}, at100, 1, 1, 0},
		{"one SYN on both, accepted by the first", []Packet{syn(1, tuple, 0, 5), syn(120, tuple, 1, 5), numbered(121, tuple, 0, 6)}, at100, 1, 1, 0},
		{"a SYN again, which came to nothing before", []Packet{syn(1, tuple, 0, 5), answer(2, tuple, 0), bare(3, tuple, 0, RST),
			syn(120, tuple, 1, 5), numbered(121, tuple, 1, 6)}, at100, 1, 0, 0},
		{"an answer from a server that never had it", []Packet{syn(120, tuple, 1, 5), answer(121, tuple, 0)}, at100, 1, 1, 0},
		{"an old server's late answer", []Packet{
			syn(1, tuple, 0, 5), answer(2, tuple, 0), syn(120, tuple, 1, 6), answer(121, tuple, 0), answer(122, tuple, 1)}, at100, 2, 0, 0},
		{"an old connection's RST to its server", []Packet{
			syn(1, tuple, 0, 5), syn(120, tuple, 1, 6), bare(121, tuple, 0, RST)}, at100, 2, 0, 0},
		{"an old connection's FIN to its server", []Packet{
			syn(1, tuple, 0, 5), syn(120, tuple, 1, 6), bare(121, tuple, 0, FIN|ACK)}, at100, 2, 0, 0},
		{"a word of the director to the old server about the old connection", []Packet{
			syn(1, tuple, 0, 5000), syn(120, tuple, 1, 900_000), numbered(121, tuple, 0, 4990)}, at100, 2, 0, 0},
		{"the new connection's ACK on the old server", []Packet{
			syn(1, tuple, 0, 5000), syn(120, tuple, 1, 900_000), numbered(121, tuple, 0, 900_001)}, at100, 2, 1, 0},
		{"an old connection's number after much data", []Packet{
			syn(1, tuple, 0, 5000), {At: 2, Tuple: tuple, Server: 0, Flags: ACK, Seq: 5001, Payload: 1 << 20},
			syn(120, tuple, 1, 900_000), numbered(121, tuple, 0, 5001+1<<20)}, at100, 2, 0, 0},
		{"a word of the director that is behind the old connection, and near the new one", []Packet{
			syn(1, tuple, 0, 5000), {At: 2, Tuple: tuple, Server: 0, Flags: ACK, Seq: 5001, Payload: 1 << 20},
			syn(120, tuple, 1, 500_001), numbered(121, tuple, 0, 500_000)}, at100, 2, 0, 0},
		{"the new connection's data on the old server, with a number like the old one's", []Packet{
			syn(1, tuple, 0, 5000), {At: 2, Tuple: tuple, Server: 0, Flags: ACK, Seq: 5001, Payload: 1 << 20},
			syn(120, tuple, 1, 500_000), numbered(121, tuple, 0, 500_001)}, at100, 2, 1, 0},
		{"an old connection that was first heard of from its server", []Packet{
			{At: 1, Tuple: tuple, Flags: ACK, Seq: 2_000_000_000, FromServer: true}, numbered(2, tuple, 0, 1_000_000),
			syn(120, tuple, 1, 3_000_000), numbered(121, tuple, 0, 999_999)}, at100, 2, 0, 0},
		{"an old server's late answer, with a number like the new connection's", []Packet{
			syn(1, tuple, 0, 5), answer(2, tuple, 0), syn(120, tuple, 1, 600_000), {At: 121, Tuple: tuple, Flags: ACK, Seq: 600_000, FromServer: true}}, at100, 2, 0, 0},
		{"one SYN on both, with a number like an older one's there", []Packet{
			syn(1, tuple, 1, 100), syn(2, tuple, 0, 90), {At: 3, Tuple: tuple, Flags: ACK, Seq: 90, Payload: 1000}, syn(120, tuple, 1, 90)}, at100, 2, 1, 0},
		{"its FIN with data", []Packet{
			syn(1, tuple, 0, 5), {At: 120, Tuple: tuple, Server: 1, Flags: FIN | ACK, Payload: 1}}, at100, 1, 1, 0},
		{"seen on two servers three times counts once", []Packet{
			syn(1, tuple, 0, 5), data(120, tuple, 1), data(121, tuple, 1), syn(122, other, 1, 1)}, at100, 2, 1, 0},
		{"the middle of a connection", []Packet{data(1, tuple, 0), answer(2, tuple, 0), syn(120, tuple, 1, 6)}, at100, 2, 0, 0},
		{"data on the old server after the switch", []Packet{syn(1, tuple, 0, 5), data(110, tuple, 0)}, at100, 1, 0, 1},
		{"data on the old server before it", []Packet{syn(1, tuple, 0, 5), data(109, tuple, 0)}, at100, 1, 0, 0},
		{"data on the new server before the switch", []Packet{syn(80, tuple, 1, 5), data(89, tuple, 1)}, at100, 1, 0, 1},
		{"data on the old server after the first on the new one", []Packet{
			syn(1, tuple, 0, 5), syn(91, other, 1, 6), data(92, other, 1), data(93, tuple, 0)}, at100, 2, 0, 1},
		{"data on the old server before the first on the new one", []Packet{
			syn(1, tuple, 0, 5), syn(91, other, 1, 6), data(92, tuple, 0), data(93, other, 1)}, at100, 2, 0, 0},
		{"data without a switch on the other server", []Packet{syn(1, tuple, 1, 5), data(2, tuple, 1)}, nil, 1, 0, 1},
		{"back again", []Packet{syn(1, tuple, 0, 1), data(2, tuple, 0), syn(101, tuple, 1, 2), data(102, tuple, 1),
			syn(201, tuple, 0, 3), data(202, tuple, 0)}, []Turn{{90, 110, 1}, {190, 210, 0}}, 3, 0, 0},
		{"back again, and one stays behind: the note's failback", []Packet{syn(101, tuple, 1, 2), data(102, tuple, 1),
			syn(201, other, 0, 3), data(202, other, 0), data(203, tuple, 1), data(204, other, 0)},
			[]Turn{{90, 100, 1}, {190, 210, 0}}, 2, 0, 1},
		{"no server", []Packet{syn(1, tuple, 0, 1), data(120, tuple, 0)}, []Turn{{90, 110, -1}}, 1, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rand.Shuffle(len(tt.packets), func(i, k int) { tt.packets[i], tt.packets[k] = tt.packets[k], tt.packets[i] })
			r := Judge(tt.packets, servers, 0, tt.turns)
			if r.Connections != tt.conns || r.Split != tt.split || r.Astray != tt.astray {
				t.Errorf("%d connections, %d split, %d packets astray; want %d, %d, %d (%q)",
					r.Connections, r.Split, r.Astray, tt.conns, tt.split, tt.astray, r.Examples)
			}
			if len(r.Examples) != min(examples, tt.split+tt.astray) {
				t.Errorf("examples %q", r.Examples)
			}
		})
	}
}

// TestReport holds the counts and the words.
func TestReport(t *testing.T) {
	r := Judge([]Packet{syn(1, tuple, 0, 5), data(2, tuple, 0), answer(3, tuple, 0), data(4, tuple, 1)}, servers, 0, nil)
	if !slices.Equal(r.Packets, []int{3, 1}) || !slices.Equal(r.Data, []int{1, 1}) {
		t.Errorf("packets %v, with data %v", r.Packets, r.Data)
	}
	all := strings.Join(r.Examples, "\n")
	for _, want := range []string{"192.168.10.10:700 to port 2049 was seen on two servers, at last on nfs-02: a client's PSH ACK with 100 bytes", "100 bytes of", "came to nfs-02 when"} {
		if !strings.Contains(all, want) {
			t.Errorf("examples %q, want %q", all, want)
		}
	}
}
