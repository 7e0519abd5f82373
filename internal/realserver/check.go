package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
)

// elsewhere stands for all clients beyond a router: an address that nobody has
// (RFC 5737).
var elsewhere = netip.AddrFrom4([4]byte{198, 51, 100, 1})

// Check says what is right and what is wrong, for these virtual IPs or for those
// that were set up, and for the way back to these clients. It changes nothing.
func (s *Server) Check(vips, clients []netip.Addr) ([]Finding, error) {
	was, err := s.load()
	var all []Finding
	if errors.Is(err, fs.ErrPermission) && len(vips) > 0 {
		all = append(all, Finding{"record", Warning, "what was set up here is not known: only root can read the record",
			"changes since then are not seen", "run the check as root"})
	} else if err != nil {
		return nil, err
	}
	wish := was.Wish
	for _, a := range vips {
		if err := CheckVIP(a); err != nil {
			return nil, err
		}
		if len(wish.VIPs) == len(wish.without([]netip.Addr{a}).VIPs) {
			wish = wish.with([]netip.Addr{a}, "lo")
		}
	}
	if len(wish.VIPs) == 0 {
		return nil, errors.New("nothing was set up here: name the virtual IP with --vip ADDR")
	}
	var links []Link
	if s.kernel != nil {
		f, err := s.facts(wish, clients)
		if err != nil {
			return nil, err
		}
		links = f.links
		all = append(all, judge(f)...)
		if wish.NFSPorts {
			all = append(all, judgePorts(s.kernel.services())...)
		}
	}
	b, err := readBoot(s.disk)
	if err != nil {
		return nil, err
	}
	all = append(all, judgeBoot(b, wish, links)...)
	changed, err := s.judgeRecord(was)
	return append(all, changed...), err
}

// facts asks the kernel.
func (s *Server) facts(wish Wish, clients []netip.Addr) (facts, error) {
	links, err := s.kernel.links()
	if err != nil {
		return facts{}, err
	}
	f := facts{vips: wish.VIPs, links: links, settings: map[string]string{}}
	names := []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"}
	for _, dev := range append([]Link{{Name: "all"}}, links...) {
		for _, name := range []string{"arp_ignore", "arp_announce", "rp_filter", "proxy_arp", "forwarding"} {
			names = append(names, confSetting(dev.Name, name))
		}
	}
	for _, name := range names {
		text, there, err := s.kernel.setting(name)
		if err != nil {
			return facts{}, fmt.Errorf("read a setting of the kernel: %w", err)
		}
		if there {
			f.settings[name] = text
		}
	}
	if len(clients) == 0 && len(wish.devs(true)) > 0 {
		w, err := s.kernel.way(elsewhere)
		if err != nil {
			return facts{}, err
		}
		f.ways = append(f.ways, clientWay{way: w})
	}
	for _, c := range clients {
		w, err := s.kernel.way(c)
		if err != nil {
			return facts{}, err
		}
		f.ways = append(f.ways, clientWay{c, w})
	}
	return f, nil
}

// judgeRecord compares the files with what was put there.
func (s *Server) judgeRecord(was record) ([]Finding, error) {
	var all []Finding
	if was.Pending {
		all = append(all, Finding{"record", Wrong, "a set-up or an undo was interrupted", "some of it is done, and some is not",
			"fairlead realserver setup, or fairlead realserver undo"})
	}
	kept := 0
	for _, k := range was.Items {
		if k.Key.Kind != File {
			continue
		}
		now, err := s.disk.read(k.Key.Name)
		if err != nil {
			return nil, fmt.Errorf("read what there is: %w", err)
		}
		why := "what it kept at boot may be gone after one"
		switch ours := k.Ours[len(k.Ours)-1]; {
		case now.same(ours):
			kept++
		case !now.There:
			all = append(all, Finding{"file", Wrong, k.Key.Name + " is gone, which was written here", why, "fairlead realserver setup"})
		case now.same(k.Before):
			all = append(all, Finding{"file", Wrong, k.Key.Name + " is again what it was before", why, "fairlead realserver setup"})
		default:
			all = append(all, Finding{"file", Wrong, k.Key.Name + " was changed by somebody since", why,
				"look at it; to have it written anew, move it away, then: fairlead realserver setup"})
		}
	}
	if kept > 0 {
		all = append(all, Finding{Check: "file", What: fmt.Sprintf("files that were written here and are unchanged: %d", kept)})
	}
	return all, nil
}
