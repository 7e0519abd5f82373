package config

import (
	"net/netip"

	"fairlead/internal/model"
)

// CheckHost compares a checked configuration with the interfaces of the machine
// that is to run it. A flow that claims an address of the machine is an error:
// it would lock its owner out. An address that no interface's network holds is
// a warning, since it may be routed here on purpose.
func CheckHost(cfg model.Config, f File, links []model.Link) []Diagnostic {
	h := hostChecker{links: links, flows: make(map[string]model.Policy), modes: make(map[string]model.Mode), web: cfg.Web.Listen.Addr()}
	for _, fl := range cfg.Flows {
		h.flows[fl.Name] = fl.Policy
	}
	for _, d := range cfg.Directors {
		h.modes[d.Name] = d.Mode
	}
	for _, u := range f.Units {
		for _, s := range u.Sections {
			h.section(s)
		}
	}
	return arrange(f, h.diags)
}

// hostChecker walks over the lines of a configuration that was checked before.
type hostChecker struct {
	report
	links []model.Link
	flows map[string]model.Policy
	modes map[string]model.Mode // of the directors
	web   netip.Addr            // of the web pages
}

func (h *hostChecker) section(s Section) {
	args := s.Head.args()
	if len(args) == 0 {
		return
	}
	name := args[0].Text
	mode, director := h.modes[name]
	for _, l := range s.Body {
		switch {
		case s.Kind == KindFlow && h.flows[name] != model.PolicySkip:
			h.rule(name, l)
		case s.Kind == KindDirector && director:
			h.server(mode, l)
			h.source(name, l)
		case s.service() == web:
			h.listen(l)
		}
	}
}

// rule checks the interface and the virtual IP of a rule.
func (h *hostChecker) rule(flow string, l Line) {
	for i := 1; i+1 < len(l.Words); i++ {
		switch value := l.Words[i+1]; l.Words[i].Text {
		case "iface":
			if !h.exists(value.Text) {
				h.warn(value, "", "this machine has no interface %s now", quote(value.Text))
			}
			i++
		case "dst":
			// An ignore rule claims nothing.
			dst, ok := new(report).prefix(value, "dst")
			if ok && l.keyword().Text == "match" && l.Words[i-1].Text != "not" {
				h.destination(flow, value, dst)
			}
			i++
		}
	}
}

// destination checks what a rule claims. Packets to the director's own addresses
// are never touched, so whoever names them would be disappointed.
func (h *hostChecker) destination(flow string, at Word, dst netip.Prefix) {
	if dst.IsSingleIP() {
		h.single(flow, at, dst.Addr())
		return
	}
	for _, l := range h.links {
		for _, p := range l.Addrs {
			if dst.Masked().Contains(p.Addr()) {
				h.warn(at, "guard the director itself with the firewall of its own system",
					"%s holds %s, this machine's own address on %s: flow %s does not touch packets to it", dst.Masked(), p.Addr(), l.Name, flow)
				return
			}
		}
	}
}

func (h *hostChecker) single(flow string, at Word, vip netip.Addr) {
	if link, own := h.owner(vip); own {
		h.fail(at, "choose an address that no interface has",
			"flow %s claims %s, this machine's own address on %s", flow, vip, link.Name)
	} else if h.flows[flow] != model.PolicyDirector {
		return
	} else if link, ends := h.ends(vip); ends {
		h.fail(at, "choose an address for one machine",
			"flow %s claims %s, the network or broadcast address of %s", flow, vip, link.Name)
	} else if !h.onLink(vip) {
		h.warn(at, "this is right only when a router sends its packets here",
			"the virtual IP %s of flow %s is outside of the network of every interface", vip, flow)
	}
}

// server checks the address of a server: mode gateway needs its MAC.
func (h *hostChecker) server(mode model.Mode, l Line) {
	if l.keyword().Text != "server" || len(l.Words) < 3 {
		return
	}
	at := l.Words[2]
	addr, _, ok := new(report).hostPort(at, "address")
	if !ok {
		return
	}
	if link, own := h.owner(addr); own {
		h.unsupported(at, "name another machine", "server %s at this machine's own address %s (on %s)", l.Words[1].Text, addr, link.Name)
	} else if mode == model.ModeGateway && !h.onLink(addr) {
		h.warn(at, "mode gateway reaches a server only on the same Ethernet segment; mode tunnel reaches it elsewhere",
			"the address %s of server %s is outside of the network of every interface", addr, l.Words[1].Text)
	}
}

// source checks that checks can come from the address that they are to come from.
func (h *hostChecker) source(director string, l Line) {
	if word := l.keyword().Text; word != "check" && word != "option" {
		return
	}
	for i := 1; i+1 < len(l.Words); i++ {
		at := l.Words[i+1]
		addr, ok := new(report).host(at, "source")
		if l.Words[i].Text != "source" || !ok {
			continue
		}
		if _, own := h.owner(addr); !own {
			h.warn(at, "without it every check of the director fails",
				"the checks of director %s are to come from %s, which this machine does not have now", director, addr)
		}
	}
}

// listen checks that this machine has the address of the web pages.
func (h *hostChecker) listen(l Line) {
	if l.keyword().Text != "listen" || !h.web.IsValid() || h.web.IsUnspecified() || h.web.IsLoopback() {
		return
	}
	if _, own := h.owner(h.web); !own {
		h.warn(l.Words[1], "", "the web pages are to be at %s, which this machine does not have now", h.web)
	}
}

func (h *hostChecker) exists(name string) bool {
	for _, l := range h.links {
		if l.Name == name {
			return true
		}
	}
	return false
}

// owner is the interface that has an address.
func (h *hostChecker) owner(addr netip.Addr) (model.Link, bool) {
	for _, l := range h.links {
		for _, p := range l.Addrs {
			if p.Addr() == addr {
				return l, true
			}
		}
	}
	return model.Link{}, false
}

// ends is the interface whose network begins or ends with an address.
func (h *hostChecker) ends(addr netip.Addr) (model.Link, bool) {
	for _, l := range h.links {
		for _, p := range l.Addrs {
			if p.Bits() > 30 || !p.Contains(addr) { // RFC 3021: a /31 has neither
				continue
			}
			if addr == p.Masked().Addr() || !p.Contains(addr.Next()) {
				return l, true
			}
		}
	}
	return model.Link{}, false
}

// onLink tells whether an interface's network holds an address.
func (h *hostChecker) onLink(addr netip.Addr) bool {
	for _, l := range h.links {
		for _, p := range l.Addrs {
			if p.Contains(addr) {
				return true
			}
		}
	}
	return false
}
