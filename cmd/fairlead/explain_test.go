package main

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// explainingDaemon also explains.
type explainingDaemon struct {
	*fakeDaemon
	others
	asked chan api.DescribedPacket
}

func (d *explainingDaemon) Explain(_ context.Context, packet api.DescribedPacket) (api.Explanation, error) {
	d.asked <- packet
	x := api.Explanation{Iface: "eth0", Rule: "rule 1 of flow nfs", Why: []string{"rule 1 of flow nfs claims it for director nfs",
		"it goes to nfs-01: it is the director's active server", "it leaves on eth0 for 02:00:00:00:00:64, from 02:00:00:00:00:05; nothing else of it changes"}}
	x.Verdict = "forward"
	return x, nil
}

func TestExplainCommand(t *testing.T) {
	d := &explainingDaemon{fakeDaemon: &fakeDaemon{}, asked: make(chan api.DescribedPacket, 1)}
	socket := serve(t, d)
	got := shell{}.run(t.Context(), "explain", "tcp", "192.168.10.7", "192.168.10.50:2049", "--socket", socket)
	if got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
	golden(t, "explain.txt", got.out)
	<-d.asked
	port := netip.MustParseAddrPort
	for args, want := range map[string]api.DescribedPacket{
		"tcp 192.168.10.7 192.168.10.50:2049":                           {Proto: model.ProtoTCP, Flags: "SYN", From: port("192.168.10.7:40000"), To: port("192.168.10.50:2049")},
		"tcp 192.168.10.7:700 192.168.10.50:2049 --flags ACK --iface e": {Proto: model.ProtoTCP, Flags: "ACK", Iface: "e", From: port("192.168.10.7:700"), To: port("192.168.10.50:2049")},
		"udp 192.168.10.7:700 192.168.10.50:53 --payload 9":             {Proto: model.ProtoUDP, Payload: 9, From: port("192.168.10.7:700"), To: port("192.168.10.50:53")},
		"icmp 192.168.10.7 192.168.10.50":                               {Proto: model.ProtoICMP, Type: 8, From: port("192.168.10.7:40000"), To: port("192.168.10.50:0")},
	} {
		got := shell{}.run(t.Context(), append([]string{"explain", "--json", "--socket", socket}, strings.Fields(args)...)...)
		if asked := <-d.asked; got.code != exitDone || asked != want || !strings.Contains(got.out, `"verdict": "forward"`) {
			t.Errorf("%s: %+v, asked %+v, want %+v", args, got, asked, want)
		}
	}
	for args, want := range map[string]string{
		"tcp web-01 192.168.10.50:80": "neither an address", "gre 192.168.10.7 192.168.10.50": "must be one of", "tcp 192.168.10.7 192.168.10.50": "needs a destination port",
	} {
		if got := (shell{}).run(t.Context(), append([]string{"explain", "--socket", socket}, strings.Fields(args)...)...); got.code == exitDone || !strings.Contains(got.err, want) {
			t.Errorf("%s: %+v, want %q", args, got, want)
		}
	}
}
