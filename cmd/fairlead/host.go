package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"fairlead/internal/model"
)

// The oldest kernel that has what the data plane uses.
const (
	leastMajor = 5
	leastMinor = 15
)

// needKernel refuses a kernel that is too old.
func (env *surroundings) needKernel() error {
	var major, minor int
	if _, err := fmt.Sscanf(env.release, "%d.%d", &major, &minor); err != nil {
		return unable{fmt.Errorf("the kernel's version %q cannot be read; Fairlead needs Linux %d.%d or newer", env.release, leastMajor, leastMinor)}
	}
	if major < leastMajor || major == leastMajor && minor < leastMinor {
		return unable{fmt.Errorf("the kernel is %s; Fairlead needs Linux %d.%d or newer", env.release, leastMajor, leastMinor)}
	}
	return nil
}

// hostLinks are the network interfaces of this machine.
func hostLinks() ([]model.Link, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	links := make([]model.Link, 0, len(ifaces))
	for _, i := range ifaces {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", i.Name, err)
		}
		link := model.Link{Name: i.Name, Index: i.Index, Up: i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning != 0}
		copy(link.MAC[:], i.HardwareAddr)
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				link.Addrs = append(link.Addrs, p)
			}
		}
		links = append(links, link)
	}
	return links, nil
}

// keepOwner gives a file the owner that another has.
func keepOwner(f *os.File, like os.FileInfo) error {
	owner, ok := like.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() && int(owner.Gid) == os.Getegid() {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
