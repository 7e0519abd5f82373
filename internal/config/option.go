package config

import "slices"

// options are the words after option, with their own settings. Those of a check
// also take the settings of a check line.
var options = map[string][]spec{
	"tcpcheck":    {},
	"httpcheck":   {{name: "uri", value: "a path"}, {name: "statuscode", value: "a number"}, {name: "vhost", value: "a name"}},
	"arpcheck":    {{name: "iface", value: "an interface"}},
	"icmpcheck":   {},
	"tlscheck":    {{name: "name", value: "a name"}, {name: "ca", value: "a file"}},
	"execcheck":   {},
	"rpccheck":    {{name: "program", value: "a name or a number"}, {name: "version", value: "a number"}, {name: "udp"}, {name: "tcp"}},
	"nfscheck":    {{name: "version", value: either(nfsVersions)}, {name: "export", value: "a path"}, {name: "file", value: "a path"}},
	"persistence": {{name: "timeout", value: "a time"}, {name: "netmask", value: "a mask"}},
	// Those of the switch have one value, not settings.
	"failback": nil, "lastactive": nil, "holddown": nil,
	"on-no-server": nil, // one value too
	"synccheck":    syncSpecs,
}

// switchOptions are those that say when a director switches, and to whom.
var switchOptions = []string{"failback", "lastactive", "holddown", "synccheck"}

// checkOptions are those that name a kind of check. A director may have several.
var checkOptions = []string{"tcpcheck", "httpcheck", "arpcheck", "icmpcheck", "tlscheck", "execcheck", "rpccheck", "nfscheck"}

var optionNames = slices.Concat(checkOptions, []string{"persistence", "on-no-server"}, switchOptions)

// option reads option NAME with its settings.
func (r *directorReader) option(l Line) {
	if len(l.Words) < 2 {
		r.fail(l.keyword(), "for example option tcpcheck", "\"option\" needs a name")
		return
	}
	w := l.Words[1]
	specs, known := options[w.Text]
	if !known {
		r.fail(w, expected(w.Text, optionNames), "unknown option %s", quote(w.Text))
		r.kind = w // perhaps it was meant to name a check
		return
	}
	if slices.Contains(checkOptions, w.Text) {
		r.test(w, l.Words[2:], specs)
		return
	}
	if old, twice := r.options[w.Text]; twice {
		r.fail(w, "the first is at "+old.Pos.String(), "second option %s in %s", quote(w.Text), r.of)
		return
	}
	r.options[w.Text] = w
	switch w.Text {
	case "failback":
		r.failback(l)
	case "on-no-server":
		r.onNoServer(l)
	case "lastactive":
		r.waitOption(l, &r.draft.director.LastActive)
	case "holddown":
		r.waitOption(l, &r.draft.director.HoldDown)
	case "persistence":
		r.persistence(l.Words[2:], specs)
	case "synccheck":
		r.sync(w, l.Words[2:])
	}
}

// probePorts reports servers that are to be checked on no port at all.
func (r *directorReader) probePorts() {
	d := r.draft.director
	tests := max(1, len(d.Check.Tests))
	for i, s := range d.Servers {
		if s.Check && len(d.Check.For(s)) < tests && !r.draft.servers[i].wrong {
			r.fail(r.draft.servers[i].addr, "write "+s.Addr.String()+":2049 with the port of your service, or check port 2049",
				"server %s is to be checked, but neither it nor the check line has a port", s.Name)
		}
	}
}
