package config

import (
	"slices"
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

// The sysctls of the LVS service that are supported.
const (
	expireNoDestConn        = "expire_nodest_conn"
	expireQuiescentTemplate = "expire_quiescent_template"
)

// otherSysctls are the sysctls of IPVS that are not supported.
var otherSysctls = []string{
	"am_droprate", "amemthresh", "backup_only", "cache_bypass", "conn_reuse_mode", "conntrack",
	"drop_entry", "drop_packet", "est_cpulist", "est_nice", "ignore_tunneled", "nat_icmp_send",
	"pmtu_disc", "run_estimation", "schedule_icmp", "secure_tcp", "sloppy_sctp", "sloppy_tcp",
	"snat_reroute", "sync_persist_mode", "sync_ports", "sync_qlen_max", "sync_refresh_period",
	"sync_retries", "sync_sock_size", "sync_threshold", "sync_version",
}

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
	c.extra(l, 2)
	if old, twice := c.sysctls[name.Text]; twice {
		c.fail(name, "the first is at "+old.Pos.String(), "second sysctl %s", quote(name.Text))
		return
	}
	c.sysctls[name.Text] = name
	if value.Text != "0" && value.Text != "1" {
		at := value
		if value.Text == "" {
			at = name
		}
		c.fail(at, "expected 0 or 1", "sysctl %s cannot be %s", name.Text, quote(value.Text))
		return
	}
	c.setSysctl(name, value)
}

func (c *checker) setSysctl(name, value Word) {
	on := value.Text == "1"
	if name.Text == expireQuiescentTemplate {
		c.config.LVS.ExpireQuiescentTemplate = on
		return
	}
	c.config.LVS.ExpireNoDestConn = on
	if !on {
		c.warn(value, "write sysctl expire_nodest_conn=1 to have them reset at once",
			"with expire_nodest_conn=0 the connections of a server that failed meet silence: clients may wait up to 15 minutes")
	}
}

// sysctlName tells whether a sysctl is supported.
func (c *checker) sysctlName(w Word) bool {
	supported := []string{expireNoDestConn, expireQuiescentTemplate}
	short := strings.TrimPrefix(strings.TrimPrefix(w.Text, "net.ipv4.vs."), "net/ipv4/vs/")
	switch {
	case slices.Contains(supported, w.Text):
		return true
	case slices.Contains(supported, short):
		c.fail(w, "write "+short+", the part before it is not needed", "unknown sysctl %s", quote(w.Text))
	case slices.Contains(otherSysctls, short):
		c.unsupported(w, "supported: "+strings.Join(supported, ", "), "sysctl %s", short)
	default:
		hint := "supported: " + strings.Join(supported, ", ")
		if best, _, ok := nearest(short, slices.Concat(supported, otherSysctls)); ok {
			hint = "did you mean " + quote(best) + "?"
		}
		c.fail(w, hint, "unknown sysctl %s", quote(w.Text))
	}
	return false
}
