package doctor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"fairlead/internal/config"
	"fairlead/internal/ganesha"
	"fairlead/internal/model"
	"fairlead/internal/nfsd"
	"fairlead/internal/nfswalk"
	"fairlead/internal/rpc"
	"fairlead/internal/topology"
)

// roleVar makes the test programme the doctor itself: a process of its own on the
// director's host, since a process is in one network namespace with all its threads.
const (
	roleVar   = "FAIRLEAD_DOCTOR_TEST_ROLE"
	exportVar = "FAIRLEAD_DOCTOR_TEST_EXPORT"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role == "go-nfs" {
		root := os.Getenv(exportVar)
		fmt.Fprintln(os.Stderr, nfsd.Serve(context.Background(), nfsd.Options{Root: root, Export: 77, Listen: ":2049", Portmap: ":111"}, slog.Default()))
		os.Exit(1)
	} else if role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// play reads a configuration and prints what the doctor says, or what checks say.
func play(role string) error {
	var text bytes.Buffer
	if _, err := text.ReadFrom(os.Stdin); err != nil {
		return err
	}
	file, found := config.Parse([]config.Source{{Name: "test.cfg", Text: text.Bytes()}})
	cfg, more := config.Check(file)
	if found = append(found, more...); config.Failed(found) {
		return fmt.Errorf("%v", found)
	}
	if role == "checks" {
		return check(cfg)
	}
	return json.NewEncoder(os.Stdout).Encode(Examine(context.Background(), cfg, nil))
}

var vip = netip.MustParseAddr("192.168.10.50")

// sound is the usual set-up, which each case breaks in its own way.
const sound = `flow nfs director nfs
  match iface eth0 dst 192.168.10.50
director nfs
  balance roundrobin
  mode gateway
  check interval 10 port 2049 timeout 2
  option tcpcheck
  server nfs-01 192.168.10.100:2049 weight 10 check
  server nfs-02 192.168.10.101:2049 sorry
`

// scene is a director and two servers over one directory.
type scene struct {
	t        *testing.T
	prefix   string // of the namespaces' names
	segment  *topology.Segment
	director *topology.Host
	servers  [2]*topology.Host
	serving  [2]*topology.Process
	root     string
	text     string // of the configuration
	options  [2]ganesha.Options
	vips     [2]netip.Addr
	serve    [2]bool
	wrap     [2]func(*exec.Cmd) // changes how a server is started
	export   string             // its path in NFSv3; "": root
}

func newScene(t *testing.T, number int) *scene {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "canary"), []byte("I sing"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, prefix: fmt.Sprintf("fairlead-doctor-test-%d", number), root: root, text: sound, vips: [2]netip.Addr{vip, vip}, serve: [2]bool{true, true}}
	for i := range s.options {
		s.options[i] = ganesha.Options{Dir: t.TempDir(), Root: s.root, Versions: "3, 4", Scope: "pair"}
	}
	return s
}

// build makes the hosts and starts the servers.
func (s *scene) build() {
	s.t.Helper()
	var err error
	s.segment, err = topology.Build(s.prefix)
	s.must(err)
	s.t.Cleanup(func() {
		if err := s.segment.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.director, err = s.segment.Add(topology.Spec{Name: "director", Addr: netip.MustParsePrefix("192.168.10.10/24")})
	s.must(err)
	for i := range s.servers {
		s.servers[i], err = s.segment.Add(topology.Spec{Name: fmt.Sprintf("nfs-0%d", i+1),
			Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 10, byte(100 + i)}), 24), VIP: s.vips[i]})
		s.must(err)
		if s.serve[i] {
			cmd, err := ganesha.Command(s.options[i])
			s.must(err)
			if s.wrap[i] != nil {
				s.wrap[i](cmd)
			}
			s.serving[i], err = s.servers[i].Start(cmd)
			s.must(err)
		}
	}
	for i := range s.servers {
		if s.serve[i] {
			s.await(i)
		}
	}
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// await waits until a server answers, at its own address, to itself.
func (s *scene) await(i int) {
	s.t.Helper()
	version := nfswalk.V40
	if s.options[i].Versions == "3" {
		version = nfswalk.V3
	}
	dial := func(ctx context.Context, network string, port uint16) (c net.Conn, err error) {
		err = s.servers[i].Do(func() (err error) {
			c, err = new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("%v:%d", s.servers[i].Addr.Addr(), port))
			return err
		})
		return c, err
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for {
		err := nfswalk.Offers(ctx, dial, nfswalk.Target{Version: version, Port: uint16(s.options[i].Port)})
		if err == nil {
			if version == nfswalk.V3 || strings.Contains(s.options[i].Versions, "3") {
				_, err = nfswalk.Exports(ctx, dial, nfswalk.Target{})
			}
			if err == nil {
				return
			}
		}
		select {
		case <-s.serving[i].Done():
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
			continue
		}
		text, _ := os.ReadFile(filepath.Join(s.options[i].Dir, "log"))
		s.t.Fatalf("the server does not answer: %v; its log: %s", err, text)
	}
}

// doctor runs the doctor on the director.
func (s *scene) doctor() (d model.Diagnosis) {
	s.t.Helper()
	s.play("doctor", &d)
	return d
}

// checks runs checks on the director.
func (s *scene) checks() []string {
	s.t.Helper()
	var said []checked
	s.play("checks", &said)
	return s.words(said)
}

// play runs this programme in another role on the director, and reads what it prints.
func (s *scene) play(role string, answer any) {
	s.t.Helper()
	self, err := os.Executable()
	s.must(err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVar+"="+role, exportVar+"="+cmp.Or(s.export, s.root))
	var out, trouble bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(s.text), &out, &trouble
	p, err := s.director.Start(cmd)
	s.must(err)
	select {
	case <-p.Done():
	case <-time.After(3 * Limit):
		s.t.Errorf("the %s take too long", role)
		s.must(p.Stop(0))
	}
	if p.Err() != nil {
		s.t.Fatalf("the %s: %v: %s", role, p.Err(), trouble.Bytes())
	}
	s.must(json.Unmarshal(out.Bytes(), answer))
}

// set writes a setting of the kernel on a host.
func (s *scene) set(h *topology.Host, path, value string) {
	s.t.Helper()
	s.must(h.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0) }))
}

// mtu changes the MTU of a host's interface and of its port on the switch.
func (s *scene) mtu(h *topology.Host, own, port int) {
	s.t.Helper()
	s.must(h.Do(func() error {
		link, err := netlink.LinkByName(topology.HostIface)
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(link, own)
	}))
	s.must(h.Port(func(index int) error {
		link, err := netlink.LinkByIndex(index)
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(link, port)
	}))
}

// on runs a programme on a host.
func (s *scene) on(h *topology.Host, name string, args ...string) {
	s.t.Helper()
	path, err := lookAdmin(name)
	s.must(err)
	cmd := exec.Command(path, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := h.Start(cmd)
	s.must(err)
	<-p.Done()
	if p.Err() != nil {
		s.t.Fatalf("%s %v: %v: %s", name, args, p.Err(), out.Bytes())
	}
}

// filter drops packets on a host, by a rule of nftables.
func (s *scene) filter(h *topology.Host, rule ...string) {
	s.t.Helper()
	s.on(h, "nft", "add", "table", "inet", "t")
	s.on(h, "nft", "add", "chain", "inet", "t", "input", "{ type filter hook input priority 0; }")
	s.on(h, "nft", append([]string{"add", "rule", "inet", "t", "input"}, rule...)...)
}

// listen serves connections to a host's port in a way of its own.
func (s *scene) listen(h *topology.Host, port int, serve func(net.Conn)) {
	s.t.Helper()
	var l net.Listener
	s.must(h.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	}))
	s.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer rpc.Abort(c)
				serve(c)
			}()
		}
	}()
}

// signal sends a signal to a server and all that it started.
func (s *scene) signal(i int, sig syscall.Signal) {
	s.t.Helper()
	s.must(s.serving[i].Signal(sig))
}

// embedded serves with go-nfs, which knows version 3 only.
func (s *scene) embedded() {
	self, err := os.Executable()
	s.must(err)
	s.export = nfsd.ExportPath
	for i := range s.wrap {
		s.options[i].Versions = "3"
		s.wrap[i] = func(cmd *exec.Cmd) {
			cmd.Path, cmd.Args = self, []string{self}
			cmd.Env = append(os.Environ(), roleVar+"=go-nfs", exportVar+"="+s.root)
		}
	}
}
