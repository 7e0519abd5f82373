package agent

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// TestExplain: the data plane is asked with a frame as described, and its answer is put
// into words.
func TestExplain(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		from, to := netip.MustParseAddrPort("192.168.10.7:700"), netip.MustParseAddrPort("192.168.10.50:2049")
		for _, c := range []struct {
			packet api.DescribedPacket
			answer model.Explanation
			frame  string // its end, from the protocol number on
			why    []string
		}{
			{api.DescribedPacket{Proto: model.ProtoTCP, From: from, To: to},
				model.Explanation{Verdict: "forward", Flow: "nfs", Director: "nfs", Server: "nfs-01", Chooser: model.ChosenByDirector, To: model.MAC{2, 1}, From: model.MAC{2, 2}},
				"060000c0a80a07c0a80a3202bc0801" + "0000000100000001" + "5002ffff00000000",
				[]string{"rule 1 of flow nfs claims it for director nfs", "it goes to nfs-01: it is the director's active server",
					"it leaves on eth0 for 02:01:00:00:00:00, from 02:02:00:00:00:00; nothing else of it changes"}},
			{api.DescribedPacket{Proto: model.ProtoTCP, From: from, To: to, Flags: "fin,ACK", Payload: 2},
				model.Explanation{Verdict: "reset", Flow: "nfs", Director: "nfs", Connection: &model.ExplainedConnection{Server: "nfs-02", Old: true, Idle: true}},
				"5011ffff000000000000",
				[]string{"rule 1 of flow nfs claims it for director nfs", "the table knows its connection: to nfs-02, of before the last switch, idle, nothing but its SYN was seen",
					"its connection is old: it is answered with RST"}},
			{api.DescribedPacket{Proto: model.ProtoUDP, From: from, To: to}, model.Explanation{Verdict: "pass"}, "110000c0a80a07c0a80a3202bc080100080000",
				[]string{"no flow claims udp to 192.168.10.50:2049: it goes up the director's own network stack"}},
			{api.DescribedPacket{Proto: model.ProtoICMP, From: from, To: netip.MustParseAddrPort("192.168.10.50:0"), Type: 8}, model.Explanation{Verdict: "pass"},
				"010000c0a80a07c0a80a320800000000000000", []string{"no flow claims icmp to 192.168.10.50: it goes up the director's own network stack"}},
			{api.DescribedPacket{Proto: model.ProtoUDP, From: netip.MustParseAddrPort("[2001:db8::7]:700"), To: netip.MustParseAddrPort("[2001:db8::50]:2049"), Payload: 1},
				model.Explanation{Verdict: "pass"}, "86dd60000000" + "0009" + "1140" + "20010db8000000000000000000000007" + "20010db8000000000000000000000050" + "02bc0801" + "00090000" + "00",
				[]string{"no flow claims udp to [2001:db8::50]:2049: it goes up the director's own network stack"}},
			{api.DescribedPacket{Proto: model.ProtoICMP, From: netip.MustParseAddrPort("[2001:db8::7]:0"), To: netip.MustParseAddrPort("[2001:db8::50]:0"), Type: 128},
				model.Explanation{Verdict: "pass"}, "0008" + "3a40" + "20010db8000000000000000000000007" + "20010db8000000000000000000000050" + "8000000000000000",
				[]string{"no flow claims icmp to 2001:db8::50: it goes up the director's own network stack"}},
		} {
			b.plane.explains = c.answer
			x, err := b.agent.Explain(t.Context(), c.packet)
			if err != nil || !slices.Equal(x.Why, c.why) || x.Iface != "eth0" {
				t.Errorf("%+v: got %+v, %v", c.packet, x, err)
			}
			asked := b.plane.explained[len(b.plane.explained)-1]
			if !strings.HasSuffix(asked, c.frame) {
				t.Errorf("%+v: asked %s, want it to end in %s", c.packet, asked, c.frame)
			}
		}
		if _, err := b.agent.Explain(t.Context(), api.DescribedPacket{Iface: "eth9", Proto: model.ProtoTCP, From: from, To: to}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("an unknown interface: %v", err)
		}
	})
}
