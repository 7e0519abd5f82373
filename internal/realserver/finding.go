package realserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// State is what a check says of one thing.
type State uint8

const (
	Right   State = iota
	Warning       // it works, and may not for long
	Wrong
)

var states = [...]string{"right", "warning", "wrong"}

func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is what a check says, why it bites, and what mends it.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	What  string `json:"what"`
	Why   string `json:"why,omitempty"`
	Do    string `json:"do,omitempty"`
}

// facts are what is known of a server.
type facts struct {
	vips     []VIP
	links    []Link
	settings map[string]string // of the kernel; what is not there is missing
	ways     []clientWay
}

// clientWay is the way back to a client; one without an address stands for those
// beyond a router.
type clientWay struct {
	client netip.Addr
	way    Way
}

func (w clientWay) name() string {
	if w.client.IsValid() {
		return "the client " + w.client.String()
	}
	return "clients in other networks"
}

// number is a setting of the kernel; one that is missing is 0.
func (f facts) number(dev, name string) int {
	n, _ := strconv.Atoi(f.settings[confSetting(dev, name)]) // the kernel writes numbers
	return n
}

// effective is what counts for an interface: the higher of its own and of "all".
func (f facts) effective(dev, name string) int {
	return max(f.number("all", name), f.number(dev, name))
}

// judge says what is right and wrong with the running network.
func judge(f facts) []Finding {
	var all []Finding
	for _, v := range f.vips {
		all = append(all, f.judgeAddress(v)...)
	}
	if slices.ContainsFunc(f.vips, func(v VIP) bool { return v.Addr.Is4() }) {
		for _, l := range f.links {
			if !l.silent() {
				all = append(all, f.judgeIgnore(l), f.judgeAnnounce(l))
				all = append(all, f.judgeProxy(l)...)
			}
		}
	}
	for _, w := range f.ways {
		all = append(all, f.judgeWay(w)...)
	}
	return all
}

func setupCommand(a netip.Addr) string { return "fairlead realserver setup --vip " + a.String() }

// judgeAddress looks for a virtual IP on all interfaces.
func (f facts) judgeAddress(v VIP) []Finding {
	var wrong []Finding
	say := func(what, why, do string) {
		wrong = append(wrong, Finding{"vip", Wrong, fmt.Sprintf("%s %s", v.Addr, what), why, do})
	}
	holders := ""
	for _, l := range f.links {
		for _, a := range l.Addresses {
			remove := fmt.Sprintf("ip address del %s dev %s, then %s", a.Prefix, l.Name, setupCommand(v.Addr))
			switch {
			case a.Prefix.Addr() != v.Addr:
				continue
			case !l.silent():
				say("is on the real interface "+l.Name, "the server answers ARP and neighbour solicitations for it there, so that clients come past the director", remove)
			case !a.Prefix.IsSingleIP():
				say(fmt.Sprintf("is on %s as %s", l.Name, a.Prefix), "the whole network is this machine's own then, and no answer to a client in it ever leaves", remove)
			case a.Unsure:
				say("is on "+l.Name+", but duplicate address detection has not let it pass", "it is not used; every real server has the same one, so nobody should ask", remove)
			case !l.Up:
				say("is on "+l.Name+", which is down", "packets for it are not accepted", "ip link set "+l.Name+" up")
			}
			holders = l.Name
		}
	}
	if holders == "" {
		why := "packets for it are dropped: clients of this server wait"
		if f.forwards(v.Addr) {
			why = "this server forwards packets for it back to the network instead of taking them, and a check through the virtual IP may pass all the same"
		}
		say("is on no interface", why, setupCommand(v.Addr))
	}
	if len(wrong) > 0 {
		return wrong
	}
	return []Finding{{Check: "vip", What: fmt.Sprintf("%s is on %s, alone", v.Addr, holders)}}
}

// forwards tells whether this machine is a router.
func (f facts) forwards(a netip.Addr) bool {
	if a.Is6() {
		return f.settings["net/ipv6/conf/all/forwarding"] == "1"
	}
	return f.settings["net/ipv4/ip_forward"] == "1"
}

// mend says how to give a setting its value, for an interface whose own value is
// too high for that of "all" to count, too.
func (f facts) mend(dev, name string, value int) string {
	all := fmt.Sprintf("sysctl -w net.ipv4.conf.all.%s=%d", name, value)
	if f.number(dev, name) > value {
		all += fmt.Sprintf(" net.ipv4.conf.%s.%s=%d", dotted(dev), name, value)
	}
	return all + "; fairlead realserver setup does that too"
}

// judgeIgnore tells whether an interface answers ARP for addresses of others.
// What the values mean stands in the kernel's ip-sysctl: 4 to 7 are as good as 0.
func (f facts) judgeIgnore(l Link) Finding {
	n := f.effective(l.Name, "arp_ignore")
	found := Finding{Check: "arp_ignore", State: Wrong, Do: f.mend(l.Name, "arp_ignore", 1)}
	switch n {
	case 1, 2:
		return Finding{Check: "arp_ignore", What: fmt.Sprintf("%s answers ARP for its own addresses only (arp_ignore %d)", l.Name, n)}
	case 8:
		found.What = fmt.Sprintf("%s answers no ARP at all (arp_ignore 8)", l.Name)
		found.Why = "the director never learns where this server is"
	default:
		verb := "answers"
		if !f.held() {
			verb = "would answer"
		}
		found.What = fmt.Sprintf("%s %s ARP for the virtual IP (arp_ignore %d)", l.Name, verb, n)
		found.Why = "clients learn this server's MAC for it, and go past the director: to this server, whichever is active"
	}
	return found
}

// held tells whether a virtual IP is here at all.
func (f facts) held() bool {
	return slices.ContainsFunc(f.links, func(l Link) bool {
		return slices.ContainsFunc(l.Addresses, func(a Addr) bool {
			return slices.ContainsFunc(f.vips, func(v VIP) bool { return v.Addr == a.Prefix.Addr() })
		})
	})
}

// judgeAnnounce tells whether ARP requests of the server carry the virtual IP.
func (f facts) judgeAnnounce(l Link) Finding {
	n := f.effective(l.Name, "arp_announce")
	if n == 2 {
		return Finding{Check: "arp_announce", What: fmt.Sprintf("%s asks by ARP with its own address (arp_announce 2)", l.Name)}
	}
	return Finding{"arp_announce", Wrong, fmt.Sprintf("%s may ask by ARP with the virtual IP as its own (arp_announce %d)", l.Name, n),
		"whoever hears it, a client or a router, sends packets for the virtual IP to this server from then on, past the director",
		f.mend(l.Name, "arp_announce", 2)}
}

// judgeProxy finds an interface that answers for what the server does not have.
func (f facts) judgeProxy(l Link) []Finding {
	if f.effective(l.Name, "proxy_arp") == 0 || f.number(l.Name, "forwarding") == 0 {
		return nil
	}
	return []Finding{{"proxy_arp", Warning, l.Name + " answers ARP for addresses of other networks (proxy_arp)",
		"while the virtual IP is not on the loopback, it may answer for it",
		fmt.Sprintf("sysctl -w net.ipv4.conf.%s.proxy_arp=0, if nothing needs it", dotted(l.Name))}}
}

// judgeWay tells whether a client's packets are taken, and its answers get back.
func (f facts) judgeWay(w clientWay) []Finding {
	state := Wrong
	if !w.client.IsValid() {
		state = Warning // nobody said that there are any
	}
	if w.way.Missing != "" {
		if state == Warning {
			return []Finding{{Check: "way", What: "there is no default route: only clients in this server's own networks get an answer"}}
		}
		return []Finding{{"way", state, fmt.Sprintf("no way leads back to %s: %s", w.name(), w.way.Missing),
			"the server answers clients itself, past the director: they never get it", "add the route, or a default route"}}
	}
	var all []Finding
	for _, dev := range f.arrivals(w.client) {
		n := f.effective(dev, "rp_filter")
		if n != 1 || dev == w.way.Dev {
			continue
		}
		all = append(all, Finding{"rp_filter", state,
			fmt.Sprintf("packets of %s are dropped on %s: the way back is through %s, and rp_filter is strict", w.name(), dev, w.way.Dev),
			"the kernel drops them without a word; the director sees a server that does not answer",
			fmt.Sprintf("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.%s.rp_filter=2, and the same in /etc/sysctl.d", dotted(dev))})
	}
	if len(all) == 0 {
		all = append(all, Finding{Check: "way", What: fmt.Sprintf("answers to %s go through %s", w.name(), w.way.Dev)})
	}
	return all
}

// arrivals are the interfaces on which packets for a virtual IP may come in: those
// in its network, where the director is, or else all. IPv6 has no rp_filter.
func (f facts) arrivals(client netip.Addr) []string {
	var near, all []string
	for _, l := range f.links {
		if l.silent() || client.Is6() {
			continue
		}
		for _, a := range l.Addresses {
			if !a.Prefix.Addr().Is4() {
				continue
			}
			all = append(all, l.Name)
			if slices.ContainsFunc(f.vips, func(v VIP) bool { return a.Prefix.Contains(v.Addr) }) {
				near = append(near, l.Name)
			}
		}
	}
	if len(near) > 0 {
		all = near
	}
	slices.Sort(all)
	return slices.Compact(all)
}
