package topology

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	testPrefix = "fairlead-topology-test"
	roleVar    = "FAIRLEAD_TOPOLOGY_TEST_ROLE"
)

// TestMain lets the test start itself as the programmes that it needs.
func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "sleeper": // until it is killed
		fmt.Println("ready")
		select {}
	case "alone": // in a mount namespace of its own
		if err := alone(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	case "owner": // of a segment with a sleeper, until it is killed
		if err := own(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// alone builds a segment where nobody has prepared the directory of the names,
// does what ip netns does when it prepares it, and removes the segment.
func alone() error {
	for unix.Unmount(namesDir, unix.MNT_DETACH) == nil {
	}
	s, err := Build(testPrefix)
	if err != nil {
		return err
	}
	if err := unix.Mount("", namesDir, "none", unix.MS_SHARED|unix.MS_REC, ""); errors.Is(err, unix.EINVAL) {
		err = unix.Mount(namesDir, namesDir, "none", unix.MS_BIND|unix.MS_REC, "")
		if err != nil {
			return err
		}
	}
	return s.Close()
}

func own() error {
	s, err := Build(testPrefix)
	if err != nil {
		return err
	}
	h, err := s.Add(Spec{Name: "left", Addr: netip.MustParsePrefix("192.0.2.1/24")})
	if err != nil {
		return err
	}
	cmd, out := self("sleeper")
	p, err := h.Start(cmd)
	if err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return err
	}
	// A second sleeper has left its parent's care, as a daemon does.
	orphan, out := self("sleeper")
	orphan.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := h.Do(orphan.Start); err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return err
	}
	fmt.Println("ready", p.PID(), orphan.Process.Pid)
	select {}
}

// self is this programme in another role, and its standard output.
func self(role string) (*exec.Cmd, io.Reader) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	return cmd, r
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
}

var (
	clientAddr = netip.MustParsePrefix("192.0.2.10/24")
	serverAddr = netip.MustParsePrefix("192.0.2.100/24")
	vip        = netip.MustParseAddr("192.0.2.50")
)

// pair is a client and a real server that listens on all its addresses.
func pair(t *testing.T) (client, server *Host, port uint16, s *Segment) {
	t.Helper()
	needRoot(t)
	s, err := Build(testPrefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err = s.Add(Spec{Name: "client", Addr: clientAddr})
	if err != nil {
		t.Fatal(err)
	}
	server, err = s.Add(Spec{Name: "server", Addr: serverAddr, VIP: vip})
	if err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	if err := server.Do(func() (err error) { l, err = net.Listen("tcp4", ":0"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return client, server, uint16(l.Addr().(*net.TCPAddr).Port), s
}

// dial connects from the client; the time-out is for what must not work.
func dial(t *testing.T, h *Host, a netip.Addr, port uint16, timeout time.Duration) error {
	t.Helper()
	return h.Do(func() error {
		c, err := net.DialTimeout("tcp4", netip.AddrPortFrom(a, port).String(), timeout)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func TestHostsReachEachOther(t *testing.T) {
	client, server, port, _ := pair(t)
	if err := dial(t, client, serverAddr.Addr(), port, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, client, vip, port, 300*time.Millisecond); err == nil {
		t.Error("the real server answers ARP for the virtual IP")
	}
	// As a director does: the virtual IP's packets to the server's MAC.
	err := client.Do(func() error {
		link, err := netlink.LinkByName(HostIface)
		if err != nil {
			return err
		}
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: vip.AsSlice(), HardwareAddr: net.HardwareAddr(server.MAC[:])})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := dial(t, client, vip, port, 5*time.Second); err != nil {
		t.Errorf("the real server does not accept the virtual IP: %v", err)
	}
}

// carrier tells whether the host's interface has one.
func carrier(t *testing.T, h *Host) (on bool) {
	t.Helper()
	err := h.Do(func() error {
		link, err := netlink.LinkByName(HostIface)
		if err == nil {
			on = link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return on
}

func TestCutIsolateRestore(t *testing.T) {
	client, server, port, _ := pair(t)
	for _, tt := range []struct {
		name    string
		do      func() error
		carrier bool
		reached bool
	}{
		{"at first", func() error { return nil }, true, true},
		{"cut", server.Cut, false, false},
		{"restored after a cut", server.Restore, true, true},
		{"isolated", server.Isolate, true, false},
		{"restored after isolation", server.Restore, true, true},
	} {
		if err := tt.do(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		timeout := 300 * time.Millisecond
		if tt.reached {
			timeout = 5 * time.Second
		}
		if got := carrier(t, server); got != tt.carrier {
			t.Errorf("%s: carrier %v, want %v", tt.name, got, tt.carrier)
		}
		if err := dial(t, client, serverAddr.Addr(), port, timeout); (err == nil) != tt.reached {
			t.Errorf("%s: connecting gives %v, want success %v", tt.name, err, tt.reached)
		}
	}
}

// checksumOn reads what checksumOff sets.
func checksumOn(t *testing.T, name string) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	value := &ethtoolValue{cmd: unix.ETHTOOL_GTXCSUM}
	var pin runtime.Pinner
	pin.Pin(value)
	defer pin.Unpin()
	request := &ethtoolRequest{data: unsafe.Pointer(value)}
	copy(request.name[:], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(request))); errno != 0 {
		t.Fatal(errno)
	}
	return value.data != 0
}

type closer func() error

func (c closer) Close() error { return c() }

func TestPrepareNative(t *testing.T) {
	client, server, _, s := pair(t)
	var attached int
	pass, err := s.PrepareNative(server, func(index int) (io.Closer, error) {
		attached = index
		return closer(func() error { return nil }), nil
	})
	if err != nil || pass == nil {
		t.Fatal(pass, err)
	}
	for _, h := range []*Host{client, server} {
		h.Do(func() error {
			if checksumOn(t, HostIface) {
				t.Errorf("%s still leaves checksums to its interface", h.Name)
			}
			return nil
		})
	}
	s.sw.do(func() error {
		link, err := netlink.LinkByName("server")
		if err != nil || link.Attrs().Index != attached {
			t.Errorf("attached to interface %d, the server's port is %v, %v", attached, link, err)
		}
		if checksumOn(t, "server") || !checksumOn(t, "client") {
			t.Error("want checksums off on the server's port, and only there")
		}
		return nil
	})
	_, err = s.PrepareNative(server, func(int) (io.Closer, error) { return nil, errors.New("no") })
	if err == nil {
		t.Error("a programme that cannot be attached is no error")
	}
}

func TestProcessRunsOnItsHost(t *testing.T) {
	client, _, _, _ := pair(t)
	cmd, out := self("sleeper")
	p, err := client.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	there, err := identify(fmt.Sprintf("/proc/%d/ns/net", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := identify(client.Path()); err != nil || there != want {
		t.Errorf("the process runs in %v, the host is %v, %v", there, want, err)
	}
	if err := p.Stop(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if p.Err() == nil {
		t.Error("a process that was ended by a signal reports none")
	}
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Errorf("a signal to an ended process: %v", err)
	}
}

func TestStartOfMissingProgramme(t *testing.T) {
	client, _, _, _ := pair(t)
	if _, err := client.Start(exec.Command("/nonexistent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want not found", err)
	}
}

// TestSweep kills the owner of a segment, and cleans up after it.
func TestSweep(t *testing.T) {
	pair(t)                                      // a living segment, not to be touched
	if _, err := Sweep(testPrefix); err != nil { // of an earlier test that was killed
		t.Fatal(err)
	}
	owner, out := self("owner")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	var kept, orphan int
	if _, e := fmt.Sscanf(line, "ready %d %d", &kept, &orphan); err != nil || e != nil {
		owner.Process.Kill()
		t.Fatalf("the owner says %q, %v", line, errors.Join(err, e))
	}
	if names, err := Sweep(testPrefix); err != nil || len(names) != 0 {
		t.Errorf("swept %v, %v while the owners live", names, err)
	}
	owner.Process.Kill()
	owner.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := gone(ctx, kept); err != nil {
		t.Errorf("a process outlives the programme that started it: %v", err)
	}
	if !alive(orphan) {
		t.Fatal("the orphan died by itself: this test shows nothing")
	}
	names, err := Sweep(testPrefix)
	if err != nil || len(names) != 2 {
		t.Errorf("swept %v, %v; want the switch and a host", names, err)
	}
	if err := gone(ctx, orphan); err != nil {
		t.Errorf("a process in a swept namespace: %v", err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n, fmt.Sprintf("%s-%d-", testPrefix, owner.Process.Pid)) {
			t.Errorf("swept %s of somebody else", n)
		}
		if _, err := os.Stat(namesDir + "/" + n); err == nil {
			t.Errorf("%s is still there", n)
		}
	}
}

// gone waits until a process has ended.
func gone(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	end, _ := ctx.Deadline()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(end).Milliseconds()))
	if err == nil && n == 0 {
		return fmt.Errorf("process %d is still there", pid)
	}
	return err
}

// TestNamesStayRemovable lets ip netns be used for the first time after a
// segment was built.
func TestNamesStayRemovable(t *testing.T) {
	needRoot(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"=alone")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestSweepAfterAReboot finds the name of a namespace that is no more.
func TestSweepAfterAReboot(t *testing.T) {
	pair(t) // makes the directory
	ended := exec.Command(os.Args[0], "-test.run=^$")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s-%d-switch", testPrefix, ended.Process.Pid)
	if err := os.WriteFile(namesDir+"/"+name, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	names, err := Sweep(testPrefix)
	if err != nil || !slices.Contains(names, name) {
		t.Errorf("swept %v, %v; want %s", names, err, name)
	}
	if _, err := os.Stat(namesDir + "/" + name); err == nil {
		t.Error("the name is still there")
	}
}

func TestOwner(t *testing.T) {
	for name, want := range map[string]int{
		"lab-12-switch": 12, "lab-7": 7, "lab-x-1": 0, "lab--3-a": 0, "lab-0-a": 0, "other-12-a": 0, "lab-dev-12-a": 0, "": 0,
	} {
		if pid, ok := Owner("lab", name); ok != (want > 0) || ok && pid != want {
			t.Errorf("%q: got %d, %v; want %d", name, pid, ok, want)
		}
	}
}
