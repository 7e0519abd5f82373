package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The sysctls of the LVS service that can be set.
const (
	expireNoDestConn        = "expire_nodest_conn"
	expireQuiescentTemplate = "expire_quiescent_template"
	timeoutEstablished      = "timeout_established"
	timeoutSynRecv          = "timeout_synrecv"
)

var settable = []string{expireNoDestConn, expireQuiescentTemplate, timeoutEstablished, timeoutSynRecv}

// fixed is a sysctl of IPVS that cannot be set.
type fixed struct {
	is  string // the value that says what is always so; "": none does
	why string
}

const (
	ofDefence = "the connection table defends itself: connections that were never acknowledged give way first"
	ofModes   = "it belongs to mode nat, which is not supported yet"
	ofTunnels = "packets that come in a tunnel are treated as any others: a flow says which of them go to a director"
	ofSync    = "connections are not synchronized between directors; balance maglev needs no synchronization"
	ofRates   = "counting is a part of forwarding, and is always on"
	ofEnd     = "a connection that ended does not count, and gives way at once"
	ofICMP    = "the rules of a flow say whether it takes ICMP: match … proto icmp"
)

// fixedSysctls are the sysctls of IPVS that cannot be set.
var fixedSysctls = map[string]fixed{
	"sloppy_tcp":      {"1", "a connection that is met midway is always learnt, so that none breaks when a director is replaced"},
	"sloppy_sctp":     {"", "SCTP has no connections here: its packets go by their addresses"},
	"conn_reuse_mode": {"1", "a SYN of a connection that ended always begins a new one"},
	"drop_entry":      {"0", ofDefence}, "drop_packet": {"0", ofDefence}, "secure_tcp": {"0", ofDefence},
	"amemthresh": {"", ofDefence}, "am_droprate": {"", ofDefence},
	"backup_only": {"0", ofSync}, "sync_persist_mode": {"", ofSync}, "sync_ports": {"", ofSync}, "sync_qlen_max": {"", ofSync},
	"sync_refresh_period": {"", ofSync}, "sync_retries": {"", ofSync}, "sync_sock_size": {"", ofSync},
	"sync_threshold": {"", ofSync}, "sync_version": {"", ofSync},
	"cache_bypass":     {"0", "a packet whose director has no server is dropped; nothing else could answer it"},
	"conntrack":        {"0", "packets pass before netfilter, which does not see them"},
	"snat_reroute":     {"", ofModes},
	"nat_icmp_send":    {"", ofModes},
	"pmtu_disc":        {"1", "a client is always told what does not fit into the tunnel to its server"},
	"ignore_tunneled":  {"", ofTunnels},
	"schedule_icmp":    {"", ofICMP},
	"run_estimation":   {"1", ofRates},
	"est_cpulist":      {"", ofRates},
	"est_nice":         {"", ofRates},
	"timeout_finwait":  {"", ofEnd},
	"timeout_timewait": {"", ofEnd}, "timeout_close": {"", ofEnd}, "timeout_closewait": {"", ofEnd}, "timeout_lastack": {"", ofEnd},
	"timeout_synsent": {"", "the director sees the clients' half only: use timeout_synrecv"}, "timeout_synack": {"", "the director sees the clients' half only: use timeout_synrecv"},
	"timeout_listen": {"", "a director does not listen"},
	"timeout_udp":    {"", "UDP has no connections here: its packets go by their addresses; option persistence has a timeout of its own"},
	"timeout_icmp":   {"", ofICMP},
}

// sysctlName tells whether a sysctl is known, in its short form.
func (c *checker) sysctlName(w Word) bool {
	short := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(w.Text, "net.ipv4.vs."), "net/ipv4/vs/"), "vs/")
	_, isFixed := fixedSysctls[short]
	switch known := isFixed || slices.Contains(settable, short); {
	case known && short == w.Text:
		return true
	case known:
		c.fail(w, "write "+short+", the part before it is not needed", "unknown sysctl %s", quote(w.Text))
	default:
		hint := "known: " + strings.Join(settable, ", ")
		all := slices.Clone(settable)
		for name := range fixedSysctls {
			all = append(all, name)
		}
		slices.Sort(all)
		if best, _, ok := nearest(short, all); ok {
			hint = "did you mean " + quote(best) + "?"
		}
		c.fail(w, hint, "unknown sysctl %s", quote(w.Text))
	}
	return false
}

func (c *checker) setSysctl(name, value Word) {
	if f, ok := fixedSysctls[name.Text]; ok {
		if f.is == "" || value.Text != f.is {
			hint := "leave the line out"
			if f.is != "" {
				hint = "leave the line out, which means " + f.is
			}
			c.fail(name, hint, "sysctl %s cannot be set: %s", name.Text, f.why)
		}
		return
	}
	switch name.Text {
	case timeoutEstablished:
		c.sysctlTimeout(name, value, &c.config.LVS.Timeouts.Established)
	case timeoutSynRecv:
		c.sysctlTimeout(name, value, &c.config.LVS.Timeouts.SynRecv)
	case expireQuiescentTemplate:
		c.sysctlSwitch(name, value, &c.config.LVS.ExpireQuiescentTemplate)
	case expireNoDestConn:
		if c.sysctlSwitch(name, value, &c.config.LVS.ExpireNoDestConn); value.Text == "0" {
			c.warn(value, "write sysctl expire_nodest_conn=1 to have them reset at once",
				"with expire_nodest_conn=0 the connections of a server that failed meet silence: clients may wait up to 15 minutes")
		}
	}
}

// at is where a wrong value stands: the name, when there is none.
func at(name, value Word) Word {
	if value.Text == "" {
		return name
	}
	return value
}

func (c *checker) sysctlSwitch(name, value Word, into *bool) {
	if value.Text != "0" && value.Text != "1" {
		c.fail(at(name, value), "expected 0 or 1", "sysctl %s cannot be %s", name.Text, quote(value.Text))
		return
	}
	*into = value.Text == "1"
}

// sysctlTimeout reads whole seconds; 0 is none.
func (c *checker) sysctlTimeout(name, value Word, into *time.Duration) {
	n, err := strconv.Atoi(value.Text)
	if err != nil || n < 0 || n > int(maxTime/time.Second) {
		c.fail(at(name, value), "expected seconds, 1 to 3600, or 0 for none", "sysctl %s cannot be %s", name.Text, quote(value.Text))
		return
	}
	*into = time.Duration(n) * time.Second
}
