package config

import (
	"strings"
)

// The services of Fairlead: the settings of connections, the web pages, and who is
// notified.
const (
	lvs    = "lvs"
	web    = "web"
	notify = "notify"
)

// services are the services that are known here.
var services = []string{lvs, web, notify, "vrrp"}

// service reads a service section.
func (c *checker) service(s Section) {
	args := s.Head.args()
	if len(args) == 0 {
		c.fail(s.Head.keyword(), "for example service lvs", "\"service\" needs a name")
		return
	}
	c.extra(s.Head, 2)
	switch name := args[0]; name.Text {
	case lvs:
		for _, l := range s.Body {
			c.serviceLine(l)
		}
	case web:
		for _, l := range s.Body {
			c.webLine(l)
		}
	case notify:
		for _, l := range s.Body {
			c.notifyLine(l)
		}
	case "vrrp":
		c.unsupported(name, "run one director, or leave the section out", "service vrrp")
	default:
		c.fail(name, expected(name.Text, services), "unknown service %s", quote(name.Text))
	}
}

// serviceLine reads a line of the LVS service.
func (c *checker) serviceLine(l Line) {
	args := l.args()
	switch l.keyword().Text {
	case "sysctl":
		c.sysctl(l)
	case "no":
		if len(args) == 0 || args[0].Text != "autostart" {
			c.fail(l.keyword(), "write no autostart", "\"no\" needs the word \"autostart\"")
			return
		}
		c.extra(l, 2)
		c.warn(args[0], "enable or disable fairlead in the system's service manager", "\"no autostart\" has no effect here")
	}
}

// sysctl reads a line sysctl NAME=VALUE.
func (c *checker) sysctl(l Line) {
	if len(l.Words) < 2 {
		c.fail(l.keyword(), "for example sysctl expire_nodest_conn=1", "\"sysctl\" needs a setting")
		return
	}
	w := l.Words[1]
	eq := strings.IndexByte(w.Text, '=')
	if eq < 0 {
		c.fail(w, "write it without blanks, for example sysctl expire_nodest_conn=1", "sysctl %s has no \"=\"", quote(w.Text))
		return
	}
	name, value := w.cut(0, eq), w.cut(eq+1, len(w.Text))
	if !c.sysctlName(name) {
		return
	}
	if _, isFixed := fixedSysctls[name.Text]; !isFixed { // sync_threshold has two values
		c.extra(l, 2)
	}
	if old, twice := c.sysctls[name.Text]; twice {
		c.fail(name, "the first is at "+old.Pos.String(), "second sysctl %s", quote(name.Text))
		return
	}
	c.sysctls[name.Text] = name
	c.setSysctl(name, value)
}
