package doctor

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"fairlead/internal/model"
	"fairlead/internal/topology"
)

var update = flag.Bool("update", false, "write the table of the documents anew")

// setup is a way to break the usual set-up, before it is built or after.
type setups struct {
	name   string
	before func(*scene)
	after  func(*scene)
	want   []string // kind, or kind/server, of each finding
	unseen []string // what was not looked at
	sound  bool     // nothing is found, and all was looked at
}

var broken = []setups{
	{name: "nothing is broken", sound: true},
	{name: "nothing is broken, with go-nfs in the place of nfs-ganesha", sound: true, before: (*scene).embedded},
	{name: "nfs-02 answers ARP for the virtual IP: arp_ignore is 0", want: []string{"answers-arp/nfs-02"}, after: func(s *scene) {
		s.set(s.servers[1], "net/ipv4/conf/all/arp_ignore", "0")
		s.set(s.servers[1], "net/ipv4/conf/eth0/arp_ignore", "0")
	}},
	{name: "both servers have the virtual IP on eth0", want: []string{"answers-arp/nfs-01", "answers-arp/nfs-02"}, after: func(s *scene) {
		s.must(s.servers[0].Address(netip.PrefixFrom(vip, 32)))
		s.must(s.servers[1].Address(netip.PrefixFrom(vip, 32)))
	}},
	{name: "nfs-02 lacks the virtual IP", want: []string{"no-vip/nfs-02"}, before: func(s *scene) { s.vips[1] = netip.Addr{} }},
	{name: "both servers lack the virtual IP", want: []string{"no-vip/nfs-01", "no-vip/nfs-02"}, before: func(s *scene) { s.vips = [2]netip.Addr{} }},
	{name: "nfs-02 lacks the virtual IP and forwards", want: []string{"forwards/nfs-02"}, before: func(s *scene) { s.vips[1] = netip.Addr{} }, after: func(s *scene) {
		s.set(s.servers[1], "net/ipv4/ip_forward", "1")
	}},
	{name: "a third machine holds the virtual IP", want: []string{"other-holder"}, after: func(s *scene) {
		_, err := s.segment.Add(topology.Spec{Name: "rival", Addr: netip.PrefixFrom(vip, 24)})
		s.must(err)
	}},
	{name: "nfs-02's cable is out", want: []string{"unreachable/nfs-02"}, after: func(s *scene) { s.must(s.servers[1].Cut()) }},
	{name: "the director's cable is out", want: []string{"unreachable"}, unseen: []string{"who answers ARP for 192.168.10.50", "nfs-01", "nfs-02"},
		after: func(s *scene) { s.must(s.director.Cut()) }},
	{name: "nfs-02's frames vanish on the way", want: []string{"unreachable/nfs-02"}, after: func(s *scene) { s.must(s.servers[1].Isolate()) }},
	{name: "the configuration has another address for nfs-02", want: []string{"unreachable/nfs-02"}, before: func(s *scene) {
		s.text = strings.Replace(s.text, ".101:", ".201:", 1)
	}},
	{name: "nfs-02 is behind a router", want: []string{"routed/nfs-02"}, before: func(s *scene) {
		s.text = strings.Replace(s.text, "192.168.10.101:", "10.9.9.9:", 1)
	}, after: func(s *scene) {
		s.must(s.director.Do(func() error {
			return netlink.RouteAdd(&netlink.Route{Dst: &net.IPNet{IP: net.IPv4(10, 9, 9, 0), Mask: net.CIDRMask(24, 32)}, Gw: net.IPv4(192, 168, 10, 101)})
		}))
	}},
	{name: "nfsd does not run on nfs-02", want: []string{"port/nfs-02"}, before: func(s *scene) { s.serve[1] = false }},
	{name: "the configuration has another port for nfs-02", want: []string{"port/nfs-02"}, before: func(s *scene) {
		s.text = strings.Replace(s.text, ".101:2049", ".101:2050", 1)
	}},
	{name: "nfs-02 refuses connections to the virtual IP, as a service does that listens at its own address only", want: []string{"port/nfs-02"}, after: func(s *scene) {
		s.filter(s.servers[1], "ip", "daddr", vip.String(), "tcp", "dport", "2049", "reject", "with", "tcp", "reset")
	}},
	{name: "nfsd of nfs-02 hangs", want: []string{"nfs/nfs-02"}, after: func(s *scene) { s.signal(1, syscall.SIGSTOP) }},
	{name: "something else listens at nfs-02's port 2049", want: []string{"nfs/nfs-02"}, before: func(s *scene) { s.serve[1] = false }, after: func(s *scene) {
		s.listen(s.servers[1], 2049, func(c net.Conn) {
			b := make([]byte, 512)
			c.Read(b)
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			c.Read(b) // until the doctor hangs up
		})
	}},
	{name: "nfs-02 accepts connections and resets them when something is asked", want: []string{"nfs/nfs-02"}, before: func(s *scene) { s.serve[1] = false }, after: func(s *scene) {
		s.listen(s.servers[1], 2049, func(c net.Conn) { c.Read(make([]byte, 512)) })
	}},
	{name: "the exported directory of nfs-02 is gone: its disk is not mounted", want: []string{"nfs/nfs-02"}, before: func(s *scene) {
		s.options[1].Root = s.t.TempDir()
		s.options[1].Root = filepath.Join(s.options[1].Root, "data")
		s.must(os.Mkdir(s.options[1].Root, 0o755))
	}, after: func(s *scene) { s.must(os.Remove(s.options[1].Root)) }},
	{name: "a firewall of nfs-02 drops port 2049", want: []string{"firewall/nfs-02"}, after: func(s *scene) {
		s.filter(s.servers[1], "tcp", "dport", "2049", "drop")
	}},
	{name: "a firewall of nfs-02 rejects port 2049", want: []string{"firewall/nfs-02"}, after: func(s *scene) {
		s.filter(s.servers[1], "tcp", "dport", "2049", "reject", "with", "icmp", "admin-prohibited")
	}},
	{name: "a firewall of nfs-02 drops packets for the virtual IP", want: []string{"no-vip/nfs-02"}, after: func(s *scene) {
		s.filter(s.servers[1], "ip", "daddr", vip.String(), "drop")
	}},
	{name: "nfs-02 has MTU 9000, all others 1500", want: []string{"mtu/nfs-02"}, after: func(s *scene) { s.mtu(s.servers[1], 9000, 9000) }},
	{name: "nfs-02 has MTU 1400, all others 1500", want: []string{"mtu/nfs-02"}, after: func(s *scene) { s.mtu(s.servers[1], 1400, 1500) }},
	{name: "the switch's port of nfs-02 takes 1400 bytes", want: []string{"frames/nfs-02"}, after: func(s *scene) { s.mtu(s.servers[1], 1500, 1400) }},
	{name: "the export has another number on nfs-02", want: []string{"handles/nfs-02"}, before: func(s *scene) { s.options[1].ExportID = 78 }},
	{name: "nfs-02 exports a copy in another file system", want: []string{"handles/nfs-02"}, before: func(s *scene) {
		s.wrap[1] = func(cmd *exec.Cmd) { // as two servers with replicated disks do
			cmd.Args = append([]string{"/bin/sh", "-c", `mount -t tmpfs tmpfs "$0" && exec "$@"`, s.root}, cmd.Args...)
		}
	}},
	{name: "nfs-02 exports another directory", want: []string{"exports/nfs-01", "exports/nfs-02", "handles/nfs-02"}, before: func(s *scene) { s.options[1].Root = s.t.TempDir() }},
	{name: "nfs-02 exports under another name in NFSv4", want: []string{"exports/nfs-01", "exports/nfs-02"}, before: func(s *scene) { s.options[1].Pseudo = "/data" }},
	{name: "nfs-02 exports to fewer clients", want: []string{"exports/nfs-02"}, before: func(s *scene) { s.options[1].Clients = "192.168.10.0/24" }},
	{name: "MOUNT has another port on nfs-02", want: []string{"ports/nfs-02"}, before: func(s *scene) { s.options[1].Mount = 20050 }},
	{name: "nfs-02 offers NFSv3 only", want: []string{"versions/nfs-02"}, before: func(s *scene) { s.options[1].Versions = "3" }},
	{name: "nfs-02 offers NFSv4 only", want: []string{"versions/nfs-02"}, before: func(s *scene) { s.options[1].Versions = "4" }},
	{name: "nfs-02 has another server scope", want: []string{"identity/nfs-02"}, before: func(s *scene) { s.options[1].Scope = "other" }},
	{name: "nfs-02 has another lease", want: []string{"lease/nfs-02"}, before: func(s *scene) { s.options[1].Lease = 9 }},
	{name: "a firewall of nfs-02 drops rpcbind's port", want: []string{"ports/nfs-02"}, unseen: []string{"the exports of nfs-02", "the ports that rpcbind of nfs-02 knows"}, after: func(s *scene) {
		s.filter(s.servers[1], "tcp", "dport", "111", "drop")
	}},
	{name: "the director's kernel forwards", want: []string{"forwarding"}, after: func(s *scene) { s.set(s.director, "net/ipv4/ip_forward", "1") }},
	{name: "rp_filter of the director is strict, and the virtual IP is routed elsewhere", want: []string{"reverse-path/nfs-01", "reverse-path/nfs-02"}, after: func(s *scene) {
		s.set(s.director, "net/ipv4/conf/eth0/rp_filter", "1")
		s.must(s.director.Do(func() error {
			link, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: vip.AsSlice(), Mask: net.CIDRMask(32, 32)}})
		}))
	}},
	{name: "a packet filter of the director limits who may reach the virtual IP", want: []string{"rules"}, after: func(s *scene) {
		s.filter(s.director, "ip", "daddr", vip.String(), "ip", "saddr", "!=", "192.168.10.0/24", "drop")
	}},
	{name: "nfs-02 answers no ping", unseen: []string{"whether frames of 1500 bytes reach nfs-02"}, after: func(s *scene) {
		s.set(s.servers[1], "net/ipv4/icmp_echo_ignore_all", "1")
	}},
	{name: "nfs-02 exports to clients of another network only", want: []string{"exports/nfs-02"}, before: func(s *scene) {
		s.options[1].Clients = "192.168.20.0/24"
	}},
}

func kinds(d model.Diagnosis) (list []string) {
	for _, f := range d.Findings {
		kind := f.Kind.String()
		if f.Server != "" {
			kind += "/" + f.Server
		}
		list = append(list, kind)
	}
	return list
}

// document is where the table stands for readers.
const document = "../../docs/reference/doctor.md"

// TestSetUps breaks the usual set-up in each way and holds the doctor to exactly
// the findings that are due. What it says stands in the documents.
func TestSetUps(t *testing.T) {
	if testing.Short() {
		t.Logf("in short mode one set-up of %d is built, and the documents are not compared", every)
	}
	rows := make([]string, len(broken))
	t.Run("each", func(t *testing.T) {
		for i, b := range broken {
			if testing.Short() && i%every != 0 {
				continue
			}
			t.Run(b.name, func(t *testing.T) {
				t.Parallel() // most of it is waiting for answers
				rows[i] = b.run(t, i)
			})
		}
	})
	if !t.Failed() && !testing.Short() {
		compareDocument(t, strings.Join(rows, ""))
	}
}

// every is how many set-ups there are for each one that short mode builds.
const every = 10

// run builds a set-up, asks the doctor, and gives its row of the table.
func (b setups) run(t *testing.T, number int) string {
	s := newScene(t, number)
	if b.before != nil {
		b.before(s)
	}
	s.build()
	if b.after != nil {
		b.after(s)
	}
	d := s.doctor()
	if d.Took > Limit+time.Second {
		t.Errorf("it took %v", d.Took)
	}
	if got := kinds(d); !slices.Equal(got, b.want) {
		t.Errorf("findings %v, want %v", got, b.want)
	}
	var missed []string
	for _, m := range d.Unseen {
		missed = append(missed, m.What)
	}
	if !slices.Equal(missed, b.unseen) {
		t.Errorf("not looked at %q, want %q", missed, b.unseen)
	}
	t.Logf("in %v: %+v, not looked at %+v", d.Took, d.Findings, d.Unseen)
	says := s.checks()
	if b.sound != (len(d.Findings)+len(d.Unseen)+len(says) == 0) {
		t.Errorf("found %v, not looked at %v, and the checks say %q", d.Findings, d.Unseen, says)
	}
	return s.row(b.name, d, says)
}

// row is one row of the documents' table.
func (s *scene) row(name string, d model.Diagnosis, checks []string) string {
	var says []string
	for _, f := range d.Findings {
		says = append(says, fmt.Sprintf("`%v` %s", f.Kind, f.What))
	}
	for _, m := range d.Unseen {
		says = append(says, fmt.Sprintf("not looked at: %s, because %s", m.What, m.Because))
	}
	if says == nil {
		says = []string{"no finding"}
	}
	if checks == nil {
		checks = []string{"all pass"}
	}
	line := fmt.Sprintf("| %s | %s | %s |\n", name, strings.Join(says, "<br>"), strings.Join(checks, "<br>"))
	return strings.NewReplacer(s.root, "/srv/data", s.options[1].Root, "/srv/other").Replace(line)
}

// compareDocument holds the table of the documents to what was said.
func compareDocument(t *testing.T, table string) {
	const head = "| set-up | what the doctor says | what the checks say |\n|---|---|---|\n"
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), head)
	if !found {
		t.Fatalf("%s has no table that begins with\n%s", document, head)
	}
	have, rest, _ := strings.Cut(after, "\n\n")
	if have = strings.TrimSuffix(have, "\n") + "\n"; have == table {
		return
	}
	if !*update {
		t.Errorf("%s has another table: run go test ./internal/doctor -run TestSetUps -update", document)
		for line := range strings.Lines(table) {
			if !strings.Contains(have, line) {
				t.Errorf("it lacks\n%s", line)
			}
		}
		return
	}
	if rest != "" {
		rest = "\n" + rest
	}
	if err := os.WriteFile(document, []byte(before+head+table+rest), 0o644); err != nil {
		t.Fatal(err)
	}
}
