package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/knock"
	"fairlead/internal/model"
)

// maxSkew is how far a server's clock may be from the director's.
const maxSkew = time.Second

// Judge tells what is wrong with what was seen, and what was not seen. The order
// is that of the configuration.
func Judge(f Facts) (found []model.Finding, missed []model.Unseen) {
	j := &judge{}
	j.host(f.Host)
	for _, d := range f.Directors {
		j.director = d.Name
		for _, v := range d.VIPs {
			j.holders(v, d.Servers)
		}
		for _, s := range d.Servers {
			j.server = s.Name
			j.one(s, d)
			j.server = ""
		}
		j.compare(d.Servers)
	}
	return j.found, j.missed
}

// judge collects findings, about the server at hand.
type judge struct {
	director, server string
	found            []model.Finding
	missed           []model.Unseen
}

// find tells of something wrong: what, why it bites, and what mends it.
func (j *judge) find(kind model.FindingKind, what, why, do string) {
	j.found = append(j.found, model.Finding{Kind: kind, Director: j.director, Server: j.server, What: what, Why: why, Do: do})
}

// miss tells of something that was not looked at.
func (j *judge) miss(because, format string, args ...any) {
	j.missed = append(j.missed, model.Unseen{What: fmt.Sprintf(format, args...), Because: cmp.Or(because, "it was not asked for")})
}

// setup is the command that makes a machine a real server of a virtual IP.
func setup(server string, vip netip.Addr) string {
	return fmt.Sprintf("on %s: fairlead realserver setup --vip %v --persist", server, vip)
}

// holders judges who answers for a virtual IP.
func (j *judge) holders(v VIP, servers []Server) {
	if !v.Holders.Known {
		j.miss(v.Holders.Because, "who answers %s for %v", protocol(v.Addr), v.Addr)
		return
	}
	for _, mac := range v.Holders.Value {
		at := slices.IndexFunc(servers, func(s Server) bool { return s.MAC.Known && s.MAC.Value == mac })
		if at < 0 {
			j.find(model.FindOtherHolder, fmt.Sprintf("%v, which is none of the servers, answers %s for the virtual IP %v", mac, protocol(v.Addr), v.Addr),
				"Clients that ask for the address may reach that machine instead of the director.",
				fmt.Sprintf("find the machine with the MAC %v and take the address off it; a second director must be stopped or detached: fairlead detach", mac))
			continue
		}
		j.server = servers[at].Name
		j.find(model.FindAnswersARP, fmt.Sprintf("%s answers %s for the virtual IP %v", j.server, protocol(v.Addr), v.Addr),
			"Clients that ask for the address reach this server past the director: no switch moves them, and two servers get writes at once.",
			setup(j.server, v.Addr))
		j.server = ""
	}
}

// one judges what concerns one server alone.
func (j *judge) one(s Server, d Director) {
	switch {
	case s.Routed.IsValid() && d.Tunnel:
		j.miss("it is behind a router", "%s, which gets its packets by a tunnel", s.Name)
		return
	case s.Routed.IsValid():
		j.find(model.FindRouted, fmt.Sprintf("%s (%v) is behind the router %v", s.Name, s.Addr, s.Routed),
			"In gateway mode a frame is addressed to the server's MAC, and no router passes that on.",
			"give the director an interface on the server's network, and name it in the flow; or reach it by mode tunnel")
		return
	case !s.MAC.Known:
		j.miss(s.MAC.Because, "%s", s.Name)
		return
	case !s.MAC.Value.Known():
		j.find(model.FindUnreachable, fmt.Sprintf("%s (%v) answers no %s on %s", s.Name, s.Addr, protocol(s.Addr), s.Link),
			"The director cannot send it a frame: it is down, on another network, or its address is wrong in the configuration.",
			fmt.Sprintf("on %s: ip address; and compare with the line `server %s` of the configuration", s.Name, s.Name))
		return
	}
	if j.port(s) {
		for _, v := range d.VIPs {
			if d.Tunnel {
				j.miss("it gets them by a tunnel", "whether %s takes packets for %v", s.Name, v.Addr)
			} else {
				j.vip(s, v.Addr)
			}
		}
	}
	j.frames(s)
	j.clock(s)
	j.nfs(s)
}

// port judges the server's own port, and tells whether the virtual IPs are worth a word.
func (j *judge) port(s Server) bool {
	if !s.Own.Known {
		j.miss(s.Own.Because, "the ports of %s", s.Name)
		return false
	}
	what := fmt.Sprintf("port %d of %s (%v)", s.Port, s.Name, s.Addr)
	switch s.Own.Value.Took {
	case knock.Accepted:
		return true
	case knock.Refused:
		j.find(model.FindPort, "nothing listens at "+what, "After a failover to it every client is refused.",
			fmt.Sprintf("on %s: start the service, or correct the port in the configuration; ss -ltn shows what listens", s.Name))
	default:
		j.find(model.FindFirewall, what+" does not answer: "+reactionWords[s.Own.Value.Took],
			"Clients' packets get the same answer: none.",
			fmt.Sprintf("on %s: nft list ruleset; and let port %d in", s.Name, s.Port))
	}
	return false
}

var reactionWords = map[Reaction]string{
	knock.Silent: "its packets are dropped", knock.Forwards: "its packets are handed on", knock.Prohibited: "a firewall refuses them",
}

// vip judges how a server, whose own port is open, takes packets for a virtual IP.
func (j *judge) vip(s Server, vip netip.Addr) {
	door, asked := s.VIPs[vip]
	if !asked || !door.Known {
		j.miss(cmp.Or(door.Because, "only IPv4 can be asked for yet"), "whether %s takes packets for %v", s.Name, vip)
		return
	}
	after := "After a failover to it no client gets an answer."
	switch door.Value.Took {
	case knock.Accepted:
	case knock.Forwards:
		j.find(model.FindForwards, fmt.Sprintf("%s does not have the virtual IP %v, and forwards its packets", s.Name, vip),
			after+" A check that the server passes on would even pass.", setup(s.Name, vip)+"; and sysctl -w net.ipv4.ip_forward=0")
	case knock.Refused:
		j.find(model.FindPort, fmt.Sprintf("nothing listens at port %d of the virtual IP %v on %s", s.Port, vip, s.Name),
			"The service listens at other addresses only. "+after,
			fmt.Sprintf("on %s: let the service listen at all addresses; ss -ltn shows where it listens", s.Name))
	case knock.Prohibited:
		j.find(model.FindFirewall, fmt.Sprintf("a firewall of %s refuses packets for the virtual IP %v", s.Name, vip), after,
			fmt.Sprintf("on %s: nft list ruleset; and let port %d of %v in", s.Name, s.Port, vip))
	default:
		j.find(model.FindNoVIP, fmt.Sprintf("%s does not take packets for the virtual IP %v", s.Name, vip),
			"It lacks the address, or a firewall drops them. "+after, setup(s.Name, vip)+"; and look for a rule: nft list ruleset")
	}
	if slices.Contains(s.Strict, vip) {
		j.find(model.FindReversePath, fmt.Sprintf("the kernel of the director drops what %s sends from %v: rp_filter is strict on %s", s.Name, vip, s.Link),
			"Checks through the virtual IP get no answer, although clients do.", "sysctl -w net.ipv4.conf."+s.Link+".rp_filter=2")
	}
}

// frames judges the length of frames.
func (j *judge) frames(s Server) {
	mss := 0
	if s.Own.Known {
		mss = s.Own.Value.MSS
	}
	const headers = 40 // of IP and TCP
	if mss != 0 && mss+headers != s.MTU {
		j.find(model.FindMTU, fmt.Sprintf("the MTU of %s is %d, that of %s on the director is %d", s.Name, mss+headers, s.Link, s.MTU),
			"Frames that are longer than what the other end takes vanish: small requests work, and large reads or writes hang.",
			fmt.Sprintf("give all servers, the director, the clients and the switch one MTU; on %s: ip link set dev %s mtu %d", s.Name, "DEV", s.MTU))
		return
	}
	if mss == 0 && s.Own.Known && s.Own.Value.Took == knock.Accepted {
		j.miss("it announces no segment size", "the MTU of %s", s.Name)
	}
	if !s.Full.Known {
		j.miss(s.Full.Because, "whether frames of %d bytes reach %s", s.MTU, s.Name)
		return
	}
	if !s.Full.Value {
		j.find(model.FindFrames, fmt.Sprintf("packets of %d bytes do not reach %s, shorter ones do", s.MTU, s.Name),
			"Something on the way has a smaller MTU: small requests work, and large writes hang.",
			fmt.Sprintf("look at the MTU of the switch and of %s; or: ip link set dev %s mtu 1500", s.Name, s.Link))
	}
}

func (j *judge) clock(s Server) {
	if !s.Clock.Known {
		j.miss(s.Clock.Because, "the clock of %s", s.Name)
		return
	}
	c := s.Clock.Value
	if c.Ahead.Abs() <= maxSkew+c.Within {
		return
	}
	direction := "ahead of"
	if c.Ahead < 0 {
		direction = "behind"
	}
	j.find(model.FindClock, fmt.Sprintf("the clock of %s is %v %s the director's (measured to %v)",
		s.Name, c.Ahead.Abs().Round(time.Millisecond), direction, c.Within.Round(time.Millisecond)),
		"Files that change across a failover seem older or newer than they are: caches keep stale data, and make and backups go wrong.",
		fmt.Sprintf("on %s: timedatectl set-ntp true; chronyc tracking", s.Name))
}

// host judges the director's own machine.
func (j *judge) host(h Host) {
	if !h.Forwarding.Known {
		j.miss(h.Forwarding.Because, "ip_forward of this machine")
	} else if h.Forwarding.Value {
		j.find(model.FindForwarding, "this machine forwards packets (ip_forward is 1)",
			"Whenever the data plane is not attached, its kernel sends clients' packets on by its own routes, past every choice of a server.",
			"sysctl -w net.ipv4.ip_forward=0, and keep it so in /etc/sysctl.d")
	}
	if !h.Rules.Known {
		j.miss(h.Rules.Because, "the packet filters of this machine")
	}
	for _, r := range h.Rules.Value {
		j.find(model.FindRules, "a packet filter of this machine names a virtual IP: "+r.Text,
			"The data plane takes packets before the filters: the rule has no effect on what is forwarded.",
			"say it in the flow instead (`ignore`, `match src …`), and remove the rule: "+r.Command)
	}
	for _, l := range h.Links {
		if l.Down {
			j.find(model.FindUnreachable, fmt.Sprintf("the interface %s of this machine is down", l.Name),
				"No server behind it can be reached: it is switched off, or has no carrier.",
				fmt.Sprintf("ip link set dev %s up; and look at its cable", l.Name))
		}
		j.xdp(l)
	}
}
