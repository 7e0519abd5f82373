package decide

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/config"
	"fairlead/internal/model"
)

// TestVIPTests: what is checked at the virtual IP is what clients reach there.
func TestVIPTests(t *testing.T) {
	const all = "match dst 192.168.10.50"
	for _, tt := range []struct {
		rules, check, want string
	}{
		{all, "option tcpcheck", "192.168.10.50 tcpcheck:2049"},
		{all, "option tcpcheck\ncheck via own", ""},
		{all, "option tcpcheck\ncheck via vip", "192.168.10.50 tcpcheck:2049"},
		{all, "option icmpcheck\noption arpcheck\noption execcheck /etc/x", "192.168.10.50 icmpcheck:0"},
		{all + "\nmatch dst 192.168.10.51", "option tcpcheck", "192.168.10.50 tcpcheck:2049, 192.168.10.51 tcpcheck:2049"},
		{all + " proto tcp dstport 2049", "option tcpcheck\noption tcpcheck port 111\noption icmpcheck", "192.168.10.50 tcpcheck:2049"},
		{all + " dstport 100:200", "option tcpcheck\noption tcpcheck port 111\noption httpcheck port 200", "192.168.10.50 tcpcheck:111, 192.168.10.50 httpcheck uri /:200"},
		{all + " not dstport 2049", "option tcpcheck\noption tcpcheck port 111", "192.168.10.50 tcpcheck:111"},
		{all + " proto udp", "option tcpcheck\noption rpccheck program nfs udp\noption rpccheck program mountd udp", "192.168.10.50 rpccheck program nfs version 3 udp:2049, 192.168.10.50 rpccheck program mountd version 3 udp:0"},
		{all + " proto tcp dstport 2049", "option nfscheck\noption nfscheck export /x\noption nfscheck version 4 export /x", "192.168.10.50 nfscheck version 3:2049, 192.168.10.50 nfscheck version 4 export /x:2049"},
		{all + " proto icmp", "option icmpcheck\noption tcpcheck", "192.168.10.50 icmpcheck:0"},
		{all + " src 192.168.10.0/28", "option tcpcheck", "192.168.10.50 tcpcheck:2049"},
		{"ignore dst 192.168.10.50 dstport 2049\n" + all, "option tcpcheck\noption tcpcheck port 111", "192.168.10.50 tcpcheck:111"},
		{"ignore dst 192.168.10.50 dstport 111\n" + all, "option nfscheck export /x", ""},
		{"ignore src 192.168.10.9 dstport 2049\n" + all, "option tcpcheck", "192.168.10.50 tcpcheck:2049"},
	} {
		text := "flow nfs director nfs\n" + tt.rules + "\ndirector nfs\nmode gateway\n" + tt.check + "\nserver a 192.168.10.100:2049 check\n"
		cfg, diags := config.Load([]config.Source{{Name: "t", Text: []byte(text)}})
		if config.Failed(diags) {
			t.Fatalf("%s: %v", text, diags)
		}
		s := newStory(t, cfg)
		var got []string
		for _, v := range s.state.VIPTests(ref("a")) {
			got = append(got, fmt.Sprintf("%s %s:%d", v.VIP, v.Test, v.Port))
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s\n%s:\ngot  %q\nwant %q", tt.rules, tt.check, got, tt.want)
		}
	}
}

// TestPaths: two directors share a server, and both have virtual IPs on it.
func TestPaths(t *testing.T) {
	cfg := note()
	two := cfg.Directors[0]
	two.Name = "two"
	cfg.Directors = append(cfg.Directors, two)
	cfg.Flows = append(cfg.Flows, model.Flow{Name: "two", Policy: model.PolicyDirector, Director: "two", Rules: []model.Rule{{
		Iface: model.Cond[string]{Set: true, Value: "eth0"}, Dst: model.Cond[netip.Prefix]{Set: true, Value: netip.MustParsePrefix("192.168.10.51/32")}}}})
	s := newStory(t, cfg)
	var got []string
	for _, p := range s.state.Paths() {
		got = append(got, fmt.Sprintf("%s by %s on %s", p.VIP, p.Server, p.Iface))
	}
	want := []string{"192.168.10.50 by 192.168.10.100 on eth0", "192.168.10.51 by 192.168.10.100 on eth0",
		"192.168.10.50 by 192.168.10.101 on eth0", "192.168.10.51 by 192.168.10.101 on eth0"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
