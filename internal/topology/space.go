package topology

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namesDir is where named network namespaces are found, by ip netns as well.
const namesDir = "/run/netns"

// space is a named network namespace.
type space struct{ name string }

// shareNames makes namesDir a mount of its own that is shared with other mount
// namespaces, as ip netns does. If that came later, it would cover the
// namespaces that exist already, and nobody could remove them any more.
func shareNames() error {
	if err := os.MkdirAll(namesDir, 0o755); err != nil {
		return err
	}
	share := func() error { return unix.Mount("", namesDir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err := share()
	if !errors.Is(err, unix.EINVAL) { // EINVAL: not a mount yet
		return err
	}
	if err := unix.Mount(namesDir, namesDir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return share()
}

// makeSpace makes a new namespace.
func makeSpace(name string) (space, error) {
	err := onThread(func() error {
		if err := shareNames(); err != nil {
			return fmt.Errorf("prepare %s: %w", namesDir, err)
		}
		ns, err := netns.NewNamed(name)
		if err != nil {
			return err
		}
		return ns.Close()
	})
	if errors.Is(err, fs.ErrPermission) {
		return space{}, fmt.Errorf("make network namespace %s: %w (it takes root)", name, err)
	}
	if err != nil {
		return space{}, fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return space{name}, nil
}

// Path is the namespace's file.
func (s space) Path() string { return filepath.Join(namesDir, s.name) }

// do runs f in the namespace.
func (s space) do(f func() error) error {
	return onThread(func() error {
		if err := s.enter(); err != nil {
			return err
		}
		return f()
	})
}

// enter moves the calling thread into the namespace, for good.
func (s space) enter() error {
	ns, err := netns.GetFromName(s.name)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", s.name, err)
	}
	defer ns.Close()
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", s.name, err)
	}
	return nil
}

// onThread runs f on a thread of its own, which ends with it: a thread that
// changed its namespace must never serve other goroutines.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		done <- f()
	}()
	return <-done
}

// setting writes a kernel setting of the namespace of the calling thread.
// The path is that of sysctl, with slashes.
func setting(path, value string) error {
	if err := os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0); err != nil {
		return fmt.Errorf("set %s to %s: %w", strings.ReplaceAll(path, "/", "."), value, err)
	}
	return nil
}

// quietIPv6 keeps the kernel from sending router solicitations and the like.
func quietIPv6() error {
	for _, conf := range []string{"all", "default"} {
		err := setting("net/ipv6/conf/"+conf+"/disable_ipv6", "1")
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
			return err
		}
	}
	return nil
}

// calmIPv6 lets a host have IPv6, and keeps the kernel from asking for routers and
// from waiting before it uses an address.
func calmIPv6() error {
	var err error
	for _, conf := range []string{"all", "default"} {
		dir := "net/ipv6/conf/" + conf + "/"
		err = errors.Join(err, setting(dir+"disable_ipv6", "0"), setting(dir+"accept_ra", "0"), setting(dir+"accept_dad", "0"),
			setting(dir+"router_solicitations", "0"))
	}
	return err
}

// settle makes the settings of a host, some of which a new namespace takes over
// from the machine. Real servers are silent about addresses of other interfaces.
func settle(realServer, six bool) error {
	ignore, announce := "0", "0"
	if realServer {
		ignore, announce = "1", "2"
	}
	quiet := quietIPv6
	if six {
		quiet = calmIPv6
	}
	err := errors.Join(quiet(), setting("net/ipv4/ip_forward", "0"))
	for _, conf := range []string{"all", "default"} {
		dir := "net/ipv4/conf/" + conf + "/"
		err = errors.Join(err, setting(dir+"rp_filter", "0"),
			setting(dir+"arp_ignore", ignore), setting(dir+"arp_announce", announce))
	}
	return err
}
