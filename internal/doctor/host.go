package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// setting reads a setting of the kernel; the path is that of sysctl, with slashes.
func setting(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys", path))
	return strings.TrimSpace(string(b)), err
}

// host looks at the director's own machine.
func (l *looker) host(ctx context.Context, cfg model.Config) Host {
	l.tell("this machine")
	var h Host
	switch v, err := setting("net/ipv4/ip_forward"); {
	case err != nil:
		h.Forwarding = unseen[bool](err.Error())
	default:
		h.Forwarding = seen(v != "0")
	}
	var vips []netip.Addr
	for _, v := range flow.Compile(cfg).VIPs {
		vips = append(vips, v.Addr)
	}
	h.Rules = rules(ctx, vips)
	return h
}

// dropped tells whether the director's kernel drops what comes from an address on
// an interface, because it would answer by another one.
func dropped(addr netip.Addr, iface int) bool {
	link, err := netlink.LinkByIndex(iface)
	if err != nil {
		return false
	}
	strict := false
	for _, conf := range []string{"all", link.Attrs().Name} {
		v, err := setting("net/ipv4/conf/" + conf + "/rp_filter")
		if err == nil && v == "2" {
			return false // the greater one counts
		}
		strict = strict || v == "1"
	}
	back, err := netlink.RouteGet(addr.AsSlice())
	return strict && (err != nil || len(back) == 0 || back[0].LinkIndex != iface)
}

// down tells whether an interface is switched off, or has no carrier.
func down(link netlink.Link) bool { return link.Attrs().RawFlags&unix.IFF_LOWER_UP == 0 }

// isDown is why nothing was asked over such an interface.
func isDown(link netlink.Link) string {
	return fmt.Sprintf("the interface %s of this machine is down", link.Attrs().Name)
}

// links are the interfaces that lead to servers.
func (l *looker) links() (all []Link) {
	for _, k := range l.used {
		a := k.Attrs()
		_, bare := os.Stat(filepath.Join("/sys/class/net", a.Name, "device"))
		driver, err := os.Readlink(filepath.Join("/sys/class/net", a.Name, "device/driver"))
		if err != nil {
			driver = "unknown"
		}
		generic := a.Xdp != nil && a.Xdp.Attached && a.Xdp.AttachMode == nl.XDP_ATTACHED_SKB
		can, err := driverOf(a.Index)
		all = append(all, Link{a.Name, a.MTU, down(k), bare != nil, generic, filepath.Base(driver), tried(can, err)})
	}
	slices.SortFunc(all, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// filters are the programmes that show rules, and how they are called.
var filters = [][]string{{"nft", "list", "ruleset"}, {"iptables-legacy-save"}}

// rules are the lines of the director's packet filters that name a virtual IP.
func rules(ctx context.Context, vips []netip.Addr) Seen[[]Rule] {
	var found []Rule
	for i, call := range filters {
		used, err := filtersUsed[i]()
		if err != nil {
			return unseen[[]Rule](err.Error())
		}
		if !used {
			continue
		}
		name, err := lookAdmin(call[0])
		if err != nil {
			return unseen[[]Rule](fmt.Sprintf("this machine has such rules, and %s, which shows them, is not installed", call[0]))
		}
		text, err := exec.CommandContext(ctx, name, call[1:]...).Output()
		if err != nil {
			return unseen[[]Rule](fmt.Sprintf("%s: %v", call[0], err))
		}
		for _, line := range naming(string(text), vips) {
			found = append(found, Rule{line, strings.Join(call, " ")})
		}
	}
	return seen(found)
}

// naming are the lines of a text that name an address.
func naming(text string, addrs []netip.Addr) (lines []string) {
	for line := range strings.Lines(text) {
		for _, a := range addrs {
			word := regexp.MustCompile(`(^|[^0-9a-f.:])` + regexp.QuoteMeta(a.String()) + `($|[^0-9a-f.:])`)
			if word.MatchString(line) {
				lines = append(lines, strings.TrimSpace(line))
				break
			}
		}
	}
	return lines
}

// filtersUsed tell whether the kernel has rules of each of filters at all.
var filtersUsed = []func() (bool, error){nftUsed, legacyUsed}

// nftUsed asks the kernel for its nftables tables.
func nftUsed() (bool, error) {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETTABLE, unix.NLM_F_DUMP)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0, ResId: 0})
	answers, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil // a kernel without nftables
	}
	if err != nil {
		return false, fmt.Errorf("ask the kernel for its nftables: %w", err)
	}
	return len(answers) > 0, nil
}

// legacyUsed reads which tables of the old iptables the kernel holds.
func legacyUsed() (bool, error) {
	b, err := os.ReadFile("/proc/net/ip_tables_names")
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return len(strings.TrimSpace(string(b))) > 0, err
}

// lookAdmin looks a programme up, also where only root's path leads.
func lookAdmin(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	return path, err
}
