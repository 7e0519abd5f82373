package config

import (
	"net/netip"
	"strconv"

	"fairlead/internal/model"
)

// The words of service web.
var (
	webLines = []string{"listen", "tls"}
	webTLSes = []string{"own", "off", "cert"}
)

// certSpecs are the files of a certificate.
var certSpecs = []spec{{name: "cert", value: "a file"}, {name: "key", value: "a file"}}

// webDraft is where the pages are served, with the places of what was said.
type webDraft struct {
	web    model.Web
	lines  map[string]Word // listen, tls: where each was given first
	listen Word            // the address
	tls    Word            // how connections are protected
}

// webLine reads a line of service web.
func (c *checker) webLine(l Line) {
	w := l.keyword()
	if old, twice := c.web.lines[w.Text]; twice {
		c.again(w, old, "service web")
		return
	}
	switch w.Text {
	case "listen":
		c.web.lines[w.Text] = w
		c.listen(l)
	case "tls":
		c.web.lines[w.Text] = w
		c.webTLS(l)
	}
}

// listen reads listen ADDRESS:PORT or listen off.
func (c *checker) listen(l Line) {
	if len(l.Words) < 2 {
		c.fail(l.keyword(), "for example listen "+model.DefaultWeb().Listen.String(), "\"listen\" needs an address with a port, or off")
		return
	}
	w := l.Words[1]
	c.extra(l, 2)
	c.web.listen = w
	if w.Text == "off" {
		c.web.web.Off = true
		return
	}
	c.web.web.Listen, _ = c.listenAddress(w)
}

// listenAddress reads an address with a port, of either family.
func (c *checker) listenAddress(w Word) (netip.AddrPort, bool) {
	const form = "expected an address and a port, for example 192.0.2.1:8480"
	at, err := netip.ParseAddrPort(w.Text)
	addr := at.Addr().Unmap()
	if err != nil {
		switch alone, err := netip.ParseAddr(w.Text); {
		case err == nil:
			c.fail(w, "write "+netip.AddrPortFrom(alone, model.DefaultWeb().Listen.Port()).String(), "listen %s has no port", quote(w.Text))
		case w.Text[0] == ':':
			c.fail(w, "write 0.0.0.0"+w.Text+" for every address of this machine", "listen %s has no address", quote(w.Text))
		default:
			c.fail(w, form, "listen cannot be %s", quote(w.Text))
		}
		return netip.AddrPort{}, false
	}
	if at.Port() == 0 {
		c.fail(w, "expected a port from 1 to "+strconv.Itoa(maxPort), "listen %s has port 0", quote(w.Text))
		return netip.AddrPort{}, false
	}
	if addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		c.fail(w, form, "listen %s is no address of one machine", quote(w.Text))
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, at.Port()), true
}

// webTLS reads tls own, tls off or tls cert FILE key FILE.
func (c *checker) webTLS(l Line) {
	if len(l.Words) < 2 {
		c.fail(l.keyword(), "for example tls own", "\"tls\" needs own, off, or cert FILE key FILE")
		return
	}
	w, web := l.Words[1], &c.web.web
	switch w.Text {
	case "own":
		web.TLS = model.WebTLSOwn
	case "off":
		web.TLS = model.WebTLSOff
	case "cert", "key":
		web.TLS = model.WebTLSFiles
		c.certificate(l)
	default:
		c.fail(w, expected(w.Text, webTLSes), "unknown tls %s of service web", quote(w.Text))
		return
	}
	c.web.tls = w
	if web.TLS != model.WebTLSFiles {
		c.extra(l, 2)
	}
}

// certificate reads cert FILE key FILE.
func (c *checker) certificate(l Line) {
	before := len(c.diags)
	web := &c.web.web
	for _, s := range c.settings("tls of service web", l.args(), certSpecs) {
		to := &web.Cert
		if s.name.Text == "key" {
			to = &web.Key
		}
		if c.path(s.value, s.name.Text, "/etc/fairlead/") {
			*to = s.value.Text
		}
	}
	if before < len(c.diags) || web.Cert != "" && web.Key != "" {
		return
	}
	c.fail(l.Words[1], "write tls cert FILE key FILE", "a certificate needs both its file and that of its key")
}

// webWhole fills in what nobody said of the web pages, and checks the lines
// together.
func (c *checker) webWhole() {
	d := &c.web
	if _, given := d.lines["listen"]; !given {
		d.web.Listen = model.DefaultWeb().Listen
	}
	switch {
	case d.web.Off:
		if d.tls.Text != "" {
			c.warn(d.tls, "leave it out", "tls has no effect: listen off (%s) turns the web pages off", d.listen.Pos)
		}
		d.web = model.Web{Off: true}
		return
	case !d.web.Listen.IsValid(): // reported
		return
	}
	loopback := d.web.Listen.Addr().IsLoopback()
	if d.tls.Text == "" && !loopback {
		d.web.TLS = model.WebTLSOwn
	}
	if d.tls.Text == "off" && !loopback {
		c.fail(d.tls, "write tls own, or listen "+model.DefaultWeb().Listen.String(),
			"tls off at %s: passwords would cross the network for anybody to read", d.web.Listen)
	}
	c.webAtVIP()
}

// webAtVIP reports pages at a virtual IP. Only the servers have it.
func (c *checker) webAtVIP() {
	at, listen := c.web.listen, c.web.web.Listen
	if at.Text == "" {
		return
	}
	for _, f := range c.flows {
		for i, r := range f.flow.Rules {
			if r.Dst.Set && f.flow.Policy == model.PolicyDirector && r.Dst.Value.Addr() == listen.Addr() {
				c.fail(at, "choose an address of the director's own",
					"the web pages cannot be at %s: it is a virtual IP (%s), which the director does not have itself",
					listen.Addr(), f.rules[i].dst.Pos)
				return
			}
		}
	}
}
