package realserver

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/topology"
)

// The tests here let those read the files for whom they are written.

// TestNetworkd runs systemd-networkd on the files: the loopback gets the virtual
// IPs and keeps what it has; a file for all interfaces gives them to nobody else.
func TestNetworkd(t *testing.T) {
	for what, others := range map[string]system{
		"alone":                    {},
		"a file for all":           {"/etc/systemd/network/10-all.network": "[Match]\nName=*\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"},
		"a file for lo, a drop-in": {"/etc/systemd/network/10-lo.network": "[Match]\nName=lo\n\n[Network]\nLLDP=no\n"},
	} {
		t.Run(what, func(t *testing.T) {
			server, _ := segment(t)
			root := cloud.with(others).build(t)
			setup(t, machine(root, nil), Request{VIPs: []netip.Addr{vip, vip6}, Dev: "lo", Persist: true})
			foreign := netip.MustParsePrefix("10.9.9.9/32")
			within(t, server, func() error {
				if err := (running{}).addAddress(foreign, "lo"); err != nil {
					return err
				}
				log, stop, err := startNetworkd(root)
				if err != nil {
					return err
				}
				defer stop()
				wantAddresses(t, log, []netip.Prefix{foreign, netip.PrefixFrom(vip, 32), netip.PrefixFrom(vip6, 128)})
				return nil
			})
		})
	}
}

// startNetworkd starts it in the thread's network namespace, with mounts of its
// own: the files, an empty /run, and a /sys that is read-only, which is its sign
// that no udev is there to be waited for.
func startNetworkd(root string) (log *bytes.Buffer, stop func(), err error) {
	owner, err := user.Lookup("systemd-network")
	if err != nil {
		return nil, nil, fmt.Errorf("systemd-networkd, of Debian's package systemd: %w", err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	err = errors.Join(err, unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount(root+"/etc/systemd/network", "/etc/systemd/network", "", unix.MS_BIND, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, ""), unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY, ""))
	for _, dir := range []string{"/run/systemd/netif", "/run/systemd/netif/links", "/run/systemd/netif/leases", "/run/systemd/netif/lldp"} {
		err = errors.Join(err, os.MkdirAll(dir, 0o755), os.Chown(dir, uid, -1))
	}
	if err != nil {
		return nil, nil, err
	}
	log = &bytes.Buffer{}
	cmd := exec.Command("/lib/systemd/systemd-networkd")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("systemd-networkd, of Debian's package systemd: %w", err)
	}
	return log, func() { cmd.Process.Kill(); cmd.Wait() }, nil
}

// wantAddresses waits until systemd-networkd has done its work, and then looks who
// has the addresses.
func wantAddresses(t *testing.T, log *bytes.Buffer, want []netip.Prefix) {
	t.Helper()
	has := func(l Link, p netip.Prefix) bool {
		return slices.ContainsFunc(l.Addresses, func(a Addr) bool { return a.Prefix == p })
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(60 * time.Second); ; <-tick.C {
		links, err := running{}.links()
		if err != nil {
			t.Error(err)
			return
		}
		missing := slices.DeleteFunc(slices.Clone(want), func(p netip.Prefix) bool { return has(links[0], p) })
		if len(missing) == 0 && settled(links) {
			for _, l := range links[1:] {
				for _, p := range want {
					if has(l, p) {
						t.Errorf("%s has %s", l.Name, p)
					}
				}
			}
			return
		}
		if time.Now().After(end) {
			t.Errorf("the loopback lacks %v: %s", missing, log)
			return
		}
	}
}

// settled tells whether systemd-networkd says of each interface that it is done.
func settled(links []Link) bool {
	for _, l := range links {
		dev, err := net.InterfaceByName(l.Name)
		if err != nil {
			return false
		}
		text, err := os.ReadFile(fmt.Sprintf("/run/systemd/netif/links/%d", dev.Index))
		if err != nil || !strings.Contains(string(text), "ADMIN_STATE=configured") && !strings.Contains(string(text), "ADMIN_STATE=unmanaged") {
			return false
		}
	}
	return true
}

// TestSystemdSysctl lets systemd-sysctl make the settings.
func TestSystemdSysctl(t *testing.T) {
	server, _ := segment(t)
	root := cloud.build(t)
	setup(t, machine(root, nil), Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true})
	within(t, server, func() error {
		out, err := exec.Command("/lib/systemd/systemd-sysctl", filepath.Join(root, sysctlFile)).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("systemd-sysctl, of Debian's package systemd: %v: %s", err, out)
		}
		for name, want := range map[string]string{"all/arp_ignore": "1", "all/arp_announce": "2", "lo/arp_ignore": "1", "lo/arp_announce": "2", topology.HostIface + "/arp_ignore": "0"} {
			if got, _, err := (running{}).setting("net/ipv4/conf/" + name); err != nil || got != want {
				t.Errorf("%s: got %s, %v, want %s", name, got, err, want)
			}
		}
		return nil
	})
}

// TestSystemdKnowsTheUnit lets systemd read the unit.
func TestSystemdKnowsTheUnit(t *testing.T) {
	root := cloud.build(t)
	setup(t, machine(root, nil), Request{VIPs: []netip.Addr{vip, vip6}, Dev: "lo", Persist: true, Manager: Unit})
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(root, unitFile)).CombinedOutput()
	if err != nil || strings.Contains(string(out), unitName) {
		t.Errorf("systemd-analyze, of Debian's package systemd: %v: %s", err, out)
	}
}

// TestNFSConf lets the NFS server's own programme read the ports.
func TestNFSConf(t *testing.T) {
	root := debian.build(t)
	setup(t, machine(root, nil), everything)
	for key, want := range map[string]string{"mountd port": "20048", "mountd manage-gids": "y", "statd port": "32765", "statd outgoing-port": "32766", "lockd port": "32803", "lockd udp-port": "32769"} {
		args := append([]string{"--file", root + "/etc/nfs.conf", "--get"}, strings.Fields(key)...)
		if out, err := exec.Command("/usr/sbin/nfsconf", args...).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("nfsconf, of Debian's package nfs-common: %s: got %s, %v, want %s", key, out, err, want)
		}
	}
}
