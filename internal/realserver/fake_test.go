package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/rpc"
)

// fakeKernel is a network in memory.
type fakeKernel struct {
	settings map[string]string
	devs     []Link
	ways     map[string]Way
	mappings []rpc.Mapping
	silent   error // of rpcbind
}

func (k *fakeKernel) services() ([]rpc.Mapping, error) { return k.mappings, k.silent }

func (k *fakeKernel) links() ([]Link, error) {
	all := slices.Clone(k.devs)
	for i := range all {
		all[i].Addresses = slices.Clone(all[i].Addresses)
	}
	return all, nil
}

func (k *fakeKernel) setting(name string) (string, bool, error) {
	text, ok := k.settings[name]
	return text, ok, nil
}

func (k *fakeKernel) set(name, text string) error {
	if _, ok := k.settings[name]; !ok {
		return fs.ErrNotExist
	}
	k.settings[name] = text
	return nil
}

func (k *fakeKernel) dev(name string) (*Link, error) {
	i := slices.IndexFunc(k.devs, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return nil, unix.ENODEV
	}
	return &k.devs[i], nil
}

func (k *fakeKernel) raise(dev string, up bool) error {
	l, err := k.dev(dev)
	if err == nil {
		l.Up = up
		if first := netip.MustParsePrefix("127.0.0.1/8"); up && l.Loopback && len(l.Addresses) == 0 {
			l.Addresses = []Addr{{Prefix: first}}
		}
	}
	return err
}

func (k *fakeKernel) addAddress(p netip.Prefix, dev string) error {
	l, err := k.dev(dev)
	if err == nil && !slices.ContainsFunc(l.Addresses, func(a Addr) bool { return a.Prefix == p }) {
		l.Addresses = append(l.Addresses, Addr{Prefix: p})
	}
	return err
}

func (k *fakeKernel) removeAddress(p netip.Prefix, dev string) error {
	l, err := k.dev(dev)
	if err == nil {
		l.Addresses = slices.DeleteFunc(l.Addresses, func(a Addr) bool { return a.Prefix == p })
	}
	return err
}

func (k *fakeKernel) way(to netip.Addr) (Way, error) {
	if w, ok := k.ways[to.String()]; ok {
		return w, nil
	}
	return Way{Missing: "no route"}, nil
}

// sealed is a kernel whose settings cannot be changed.
type sealed struct{ *fakeKernel }

func (sealed) set(string, string) error { return unix.EROFS }

// image is all that a kernel holds, to be compared.
func (k *fakeKernel) image() string { return fmt.Sprint(k.settings, k.devs) }

// newKernel is a server with eth0, as Debian leaves it.
func newKernel() *fakeKernel {
	k := &fakeKernel{settings: map[string]string{}, devs: []Link{
		{Name: "lo", Loopback: true, Up: true, Addresses: []Addr{{Prefix: netip.MustParsePrefix("127.0.0.1/8")}}},
		{Name: "eth0", Up: true, Addresses: []Addr{{Prefix: netip.MustParsePrefix("192.168.10.100/24")}}},
		{Name: "dummy0", NoARP: true},
	}, ways: map[string]Way{}, mappings: []rpc.Mapping{
		{Program: rpc.ProgramMount, Version: 1, Protocol: rpc.UDP, Port: 20048},
		{Program: rpc.ProgramMount, Version: 3, Protocol: rpc.TCP, Port: 20048},
		{Program: rpc.ProgramNLM, Version: 4, Protocol: rpc.TCP, Port: 32803},
		{Program: rpc.ProgramNLM, Version: 4, Protocol: rpc.UDP, Port: 32769},
		{Program: rpc.ProgramNFS, Version: 3, Protocol: rpc.TCP, Port: 2049},
	}}
	for _, dev := range []string{"all", "lo", "eth0", "dummy0"} {
		for name, text := range map[string]string{"arp_ignore": "0", "arp_announce": "0", "rp_filter": "0", "proxy_arp": "0", "forwarding": "0"} {
			k.settings[confSetting(dev, name)] = text
		}
		k.settings["net/ipv6/conf/"+dev+"/disable_ipv6"] = "0"
		k.settings["net/ipv6/conf/"+dev+"/forwarding"] = "0"
	}
	return k
}

// errKilled is what a mortal panics with.
var errKilled = errors.New("killed")

// mortal lets a machine be changed a number of times, and then kills the process,
// or fails with err.
type mortal struct {
	left int // changes
	err  error
	tell func() // nil: nobody wants to know
}

func (m *mortal) strike() error {
	if m.tell != nil {
		m.tell()
	}
	if m.left--; m.left >= 0 {
		return nil
	}
	if m.err == nil {
		panic(errKilled)
	}
	if m.left == -1 { // once: what takes it back works
		return m.err
	}
	return nil
}

type mortalDisk struct {
	disk
	*mortal
}

func (d mortalDisk) create(path string, v Value) error {
	if err := d.strike(); err != nil {
		return err
	}
	// Half of it is there before the rest.
	half := v
	half.Text = v.Text[:len(v.Text)/2]
	if err := d.disk.create(path, half); err != nil {
		return err
	}
	if err := d.strike(); err != nil {
		d.disk.remove(path)
		return err
	}
	return d.disk.create(path, v)
}

func (d mortalDisk) rename(from, to string) error {
	if err := d.strike(); err != nil {
		return err
	}
	return d.disk.rename(from, to)
}

func (d mortalDisk) remove(path string) error {
	if v, err := d.disk.read(path); err == nil && !v.There {
		return nil
	}
	if err := d.strike(); err != nil {
		return err
	}
	return d.disk.remove(path)
}

func (d mortalDisk) mkdir(path string, mode fs.FileMode) error {
	if err := d.strike(); err != nil {
		return err
	}
	return d.disk.mkdir(path, mode)
}

func (d mortalDisk) rmdir(path string) error {
	if !d.disk.isDir(path) {
		return nil
	}
	if err := d.strike(); err != nil {
		return err
	}
	return d.disk.rmdir(path)
}

func (d mortalDisk) sync(dir string) error {
	if err := d.strike(); err != nil {
		return err
	}
	return d.disk.sync(dir)
}

type mortalKernel struct {
	kernel
	*mortal
}

func (k mortalKernel) set(name, text string) error {
	if err := k.strike(); err != nil {
		return err
	}
	return k.kernel.set(name, text)
}

func (k mortalKernel) raise(dev string, up bool) error {
	if err := k.strike(); err != nil {
		return err
	}
	return k.kernel.raise(dev, up)
}

func (k mortalKernel) addAddress(p netip.Prefix, dev string) error {
	if err := k.strike(); err != nil {
		return err
	}
	return k.kernel.addAddress(p, dev)
}

func (k mortalKernel) removeAddress(p netip.Prefix, dev string) error {
	if err := k.strike(); err != nil {
		return err
	}
	return k.kernel.removeAddress(p, dev)
}

// survives runs f, and tells whether it came to its end.
func survives(f func()) (alive bool) {
	defer func() {
		if r := recover(); r != nil && r != any(errKilled) {
			panic(r)
		}
	}()
	f()
	return true
}

// A system is a directory with the files of a distribution.
type system map[string]string

var debian = system{
	"/etc/network/interfaces":      "source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n",
	"/etc/network/interfaces.d/":   "",
	"/sbin/ifup":                   "",
	"/etc/sysctl.d/99-sysctl.conf": "-> ../sysctl.conf",
	"/etc/sysctl.conf":             "#net.ipv4.ip_forward=1\n",
	"/etc/nfs.conf":                "[mountd]\nmanage-gids=y\n",
	"/etc/default/quota":           "# rquotad\nrun_warnquota=\n\nRPCRQUOTADOPTS=\n",
	"/usr/lib/systemd/systemd":     "",
	"/usr/sbin/ip":                 "",
	"/var/lib/":                    "",
	"/lib":                         "-> usr/lib",
	"/etc/sysctl.d/90-fairlead-realserver.conf": "# somebody's \xff own\n",
}

var cloud = system{
	"/etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "-> /lib/systemd/system/systemd-networkd.service",
	"/usr/lib/systemd/systemd": "",
	"/usr/bin/ip":              "",
	"/lib":                     "-> usr/lib",
	"/var/lib/fairlead/":       "",
	"/etc/":                    "",
}

// alter is a system with other files besides.
func (s system) with(more system) system {
	all := maps.Clone(s)
	maps.Copy(all, more)
	return all
}

// memory is a directory in memory, where syncing costs nothing; "" is any other.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// build writes a system to a directory of its own.
func (s system) build(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test writes files of root and must run as root")
	}
	root, err := os.MkdirTemp(memory(), "fairlead-realserver-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	for _, name := range slices.Sorted(maps.Keys(s)) {
		at, text := filepath.Join(root, name), s[name]
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case err != nil:
		case name[len(name)-1] == '/':
			err = os.MkdirAll(at, 0o755)
		case len(text) > 3 && text[:3] == "-> ":
			err = os.Symlink(text[3:], at)
		default:
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// snapshot is everything below a directory: names, types, permissions, contents.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := []byte{}
		switch {
		case info.Mode().IsRegular():
			text, err = os.ReadFile(path)
		case info.Mode()&fs.ModeSymlink != 0:
			var to string
			to, err = os.Readlink(path)
			text = []byte(to)
		}
		all[path[len(root):]] = fmt.Sprintf("%v %q", info.Mode(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantSame compares two snapshots.
func wantSame(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: got %q, want %q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is left over: %s", name, got[name])
		}
	}
}
