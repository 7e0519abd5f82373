package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/topology"
)

// debianTree is a directory like the root of a Debian with an NFS server.
func debianTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/network/interfaces":           "source /etc/network/interfaces.d/*\n",
		"etc/network/interfaces.d/.keep":   "",
		"etc/sysctl.d/README":              "read me\n",
		"etc/nfs.conf":                     "[mountd]\nmanage-gids=y\n",
		"etc/default/quota":                "run_warnquota=\nRPCRQUOTADOPTS=\n",
		"sbin/ifup":                        "",
		"usr/lib/systemd/systemd":          "",
		"usr/sbin/ip":                      "",
		"var/lib/fairlead/users.json":      "{}\n",
		"etc/systemd/network/lo.network.d": "",
	} {
		at := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// treeOf is every file below a directory, with its mode and content.
func treeOf(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() {
			var text []byte
			text, err = os.ReadFile(path)
			all[path] = info.Mode().String() + " " + string(text)
		} else if err == nil {
			all[path] = info.Mode().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantTree(t *testing.T, root string, want map[string]string) {
	t.Helper()
	got := treeOf(t, root)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: got %q, want %q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is left over", name)
		}
	}
}

func TestRealserverImage(t *testing.T) {
	root := debianTree(t)
	before := treeOf(t, root)
	do := func(code int, args ...string) result {
		t.Helper()
		got := shell{root: true}.run(t.Context(), append([]string{"realserver"}, append(args, "--root", root)...)...)
		if got.code != code {
			t.Errorf("%q: got %+v", args, got)
		}
		return got
	}
	setup := []string{"setup", "--vip", "192.168.10.50", "--vip", "2001:db8::50", "--persist", "--nfs-ports"}
	dry := do(exitDone, append(setup, "--dry-run")...)
	for _, part := range []string{
		"/etc/network/interfaces.d/fairlead-realserver: added\n", "    + iface lo inet manual\n", "-", "/etc/default/quota: changed\n",
		"    - RPCRQUOTADOPTS=\n    + RPCRQUOTADOPTS=\"-p 875\"\n", "note: ifupdown is in use", "systemctl restart rpc-statd", "; nothing was changed\n",
	} {
		if !strings.Contains(dry.out, part) {
			t.Errorf("the dry run does not say %q:\n%s", part, dry.out)
		}
	}
	wantTree(t, root, before)
	var done machineChanges
	got := do(exitDone, append(setup, "--json")...)
	if err := json.Unmarshal([]byte(got.out), &done); err != nil || !done.Done || len(done.Changes) < 4 || done.Changes[0].From != nil || done.Changes[0].To == nil {
		t.Errorf("got %s, %v", got.out, err)
	}
	if got := do(exitDone, setup...); !strings.HasSuffix(got.out, "nothing to change\n") {
		t.Errorf("again: got %+v", got)
	}
	if got := do(exitDone, "check"); !strings.HasSuffix(got.out, "0 wrong, no warnings, 3 right\n") {
		t.Errorf("got %+v", got)
	}
	// Somebody edits a file of it.
	edited := filepath.Join(root, "etc/sysctl.d/90-fairlead-realserver.conf")
	if err := os.WriteFile(edited, []byte("mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got = do(exitFailed, "check")
	if !strings.Contains(got.out, "wrong    /etc/sysctl.d/90-fairlead-realserver.conf was changed by somebody since\n         why: ") || got.err != "" {
		t.Errorf("got %+v", got)
	}
	if got := do(exitFailed, "check", "--json"); !strings.HasPrefix(got.out, "{\n  \"ok\": false,\n") || !strings.Contains(got.out, `"state": "wrong"`) {
		t.Errorf("got %+v", got)
	}
	got = do(exitFailed, "undo")
	if !strings.Contains(got.out, "90-fairlead-realserver.conf: left alone\n    somebody changed it since the set-up. Before that it was not there\n") || got.err != "" {
		t.Errorf("got %+v", got)
	}
	if err := os.Remove(edited); err != nil {
		t.Fatal(err)
	}
	if got := do(exitDone, "undo"); got.out != "nothing to change\n" {
		t.Errorf("got %+v", got)
	}
	wantTree(t, root, before)
}

func TestRealserverRefusals(t *testing.T) {
	root := debianTree(t)
	before := treeOf(t, root)
	for _, tt := range []struct {
		root bool
		args []string
		want string
	}{
		{false, []string{"setup", "--vip", "192.168.10.50"}, "realserver setup needs root"},
		{false, []string{"undo"}, "realserver undo needs root"},
		{true, []string{"setup", "--vip", "192.168.10.50/24", "--root", root}, `--vip "192.168.10.50/24" is no IP address`},
		{true, []string{"setup", "--vip", "192.168.10.50", "--root", root}, "an image has only files: add --persist"},
		{true, []string{"setup", "--vip", "224.0.0.1", "--root", root}, "multicast"},
		{true, []string{"setup", "--vip", "192.168.10.50", "--persist", "--root", root + "/nowhere"}, "open the root"},
		{true, []string{"setup", "--vip", "192.168.10.50", "--manager", "magic"}, "magic"},
		{true, []string{"undo", "--root", root}, "nothing was set up here"},
		{true, []string{"check", "--root", root}, "nothing was set up here"},
		{true, []string{"check", "--vip", "192.168.10.50", "--client", "net", "--root", root}, `--client "net" is no IP address`},
	} {
		got := shell{root: tt.root}.run(t.Context(), append([]string{"realserver"}, tt.args...)...)
		if got.code != exitUnable || !strings.Contains(got.err, tt.want) {
			t.Errorf("%q: got %+v, want %q", tt.args, got, tt.want)
		}
	}
	wantTree(t, root, before)
}

// TestRealserverOnADisk: a disk that is full, and one that is read-only.
func TestRealserverOnADisk(t *testing.T) {
	setup := []string{"realserver", "setup", "--vip", "192.168.10.50", "--persist", "--manager", "unit", "--root"}
	for what, options := range map[string]string{"full": "size=32k", "read-only": ""} {
		container(t, func(root string) {
			if err := unix.Mount("tmpfs", root, "tmpfs", 0, options); err != nil {
				t.Error(err)
				return
			}
			for name, text := range map[string]string{"etc/x": "", "var/lib/x": "", "usr/lib/systemd/systemd": "", "usr/sbin/ip": ""} {
				at := filepath.Join(root, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
					t.Error(err)
				}
			}
			words := "mount it writable"
			if what == "full" {
				words = "make room there"
				if err := os.WriteFile(filepath.Join(root, "ballast"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
					t.Errorf("fill the disk: got %v", err)
				}
			} else if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Error(err)
			}
			before := treeOf(t, root)
			got := shell{root: true}.run(t.Context(), append(setup, root)...)
			if got.code != exitFailed || !strings.Contains(got.err, words) || !strings.Contains(got.err, "Nothing was changed") {
				t.Errorf("%s: got %+v", what, got)
			}
			wantTree(t, root, before)
		})
	}
}

// container runs f on a thread with mounts of its own, which vanish with it.
func container(t *testing.T, f func(dir string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts file systems and must run as root")
	}
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		if err == nil {
			f(dir)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestRealserverInAContainer runs the real programme in a network namespace, with
// a root of its own as a container has: its /etc, /var/lib and /run.
func TestRealserverInAContainer(t *testing.T) {
	root := debianTree(t)
	before := treeOf(t, root)
	const prefix = "fairlead-command-test"
	if _, err := topology.Sweep(prefix); err != nil { // of an earlier run that was killed
		t.Fatal(err)
	}
	segment, err := topology.Build(prefix)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := segment.Close(); err != nil {
			t.Error(err)
		}
	}()
	host, err := segment.Add(topology.Spec{Name: "server", Addr: netip.MustParsePrefix("192.168.10.100/24")})
	if err != nil {
		t.Fatal(err)
	}
	err = host.Do(func() error {
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		for _, dir := range []string{"/etc", "/var/lib"} {
			err = errors.Join(err, unix.Mount(root+dir, dir, "", unix.MS_BIND, ""))
		}
		if err != nil {
			return err
		}
		network := kernelState(t)
		for _, step := range []struct {
			args []string
			want string
		}{
			{[]string{"setup", "--vip", "192.168.10.50", "--manager", "unit"}, "net.ipv4.conf.all.arp_ignore: 0 → 1\n"},
			{[]string{"setup", "--vip", "192.168.10.50", "--nfs-ports"}, "/etc/default/quota: changed\n"},
			{[]string{"setup", "--vip", "192.168.10.50"}, "nothing to change\n"},
			{[]string{"check"}, "\n0 wrong, 1 warning, "},
			{[]string{"undo"}, "address 192.168.10.50/32 dev lo: removed\n"},
		} {
			cmd := exec.Command(os.Args[0], append([]string{"realserver"}, step.args...)...)
			cmd.Env = append(os.Environ(), asFairlead+"=1")
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), step.want) {
				t.Errorf("%q: %v: %s", step.args, err, out)
			}
			if now := kernelState(t); (now == network) != (step.args[0] == "undo") {
				t.Errorf("%q: the network is %s, was %s", step.args, now, network)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	wantTree(t, root, before)
}

// kernelState are the settings and addresses of the thread's namespace.
func kernelState(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	files, err := filepath.Glob("/proc/sys/net/ipv4/conf/*/arp_*")
	for _, name := range files {
		text, e := os.ReadFile(name)
		err = errors.Join(err, e)
		b.WriteString(name + " " + string(text))
	}
	addrs, e := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err = errors.Join(err, e); err != nil || len(files) == 0 {
		t.Errorf("read the network: %v", err)
	}
	for _, a := range addrs {
		b.WriteString(a.String() + "\n")
	}
	return b.String()
}
