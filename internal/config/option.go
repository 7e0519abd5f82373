package config

import (
	"slices"

	"fairlead/internal/model"
)

// options are the words after option, with their own settings. Those of a check
// also take the settings of a check line.
var options = map[string][]spec{
	"tcpcheck":    {},
	"httpcheck":   {{name: "uri", value: "a path"}, {name: "statuscode", value: "a number"}, {name: "vhost", value: "a name"}},
	"arpcheck":    {{name: "iface", value: "an interface"}},
	"icmpcheck":   {},
	"nfscheck":    {},
	"persistence": {{name: "timeout", value: "a time"}, {name: "netmask", value: "a mask"}},
	// Those of the switch have one value, not settings.
	"failback": nil, "lastactive": nil, "holddown": nil,
}

// switchOptions are those that say when a director switches.
var switchOptions = []string{"failback", "lastactive", "holddown"}

var optionNames = slices.Concat([]string{"tcpcheck", "httpcheck", "arpcheck", "icmpcheck", "nfscheck", "persistence"}, switchOptions)

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
	if old, twice := r.options[w.Text]; twice {
		r.fail(w, "the first is at "+old.Pos.String(), "second option %s in %s", quote(w.Text), r.of)
		return
	}
	r.options[w.Text] = w
	switch w.Text {
	case "failback":
		r.failback(l)
	case "lastactive":
		r.waitOption(l, &r.draft.director.LastActive)
	case "holddown":
		r.waitOption(l, &r.draft.director.HoldDown)
	case "persistence":
		r.unsupported(w, "leave the line out", "option persistence")
		r.settings("option persistence", l.Words[2:], specs)
	default:
		r.checkKind(w, l.Words[2:], specs)
	}
}

// checkKind reads an option that names the kind of check.
func (r *directorReader) checkKind(w Word, words []Word, specs []spec) {
	if r.kind.Text != "" {
		r.fail(w, "the first is "+r.kind.Text+" at "+r.kind.Pos.String(), "second kind of check in %s", r.of)
		return
	}
	r.kind = w
	if w.Text != "tcpcheck" {
		r.unsupported(w, "use option tcpcheck", "option %s", w.Text)
	}
	r.checkSettings(words, slices.Concat(specs, checkSpecs))
}

// checkSettings reads the settings of a check line, or those of an option line.
func (r *directorReader) checkSettings(words []Word, specs []spec) {
	check, of := &r.draft.director.Check, "the check of "+r.of
	for _, s := range r.settings(of, words, specs) {
		if old, twice := r.checks[s.name.Text]; twice {
			r.again(s.name, old, of)
			continue
		}
		r.checks[s.name.Text] = s.name
		r.checkSetting(check, s)
	}
}

func (r *directorReader) checkSetting(check *model.Check, s setting) {
	switch s.name.Text {
	case "interval":
		if d, ok := r.duration(s.value, "interval", maxTime); ok {
			check.Interval = d
		}
	case "timeout":
		if d, ok := r.duration(s.value, "timeout", maxTime); ok {
			check.Timeout = d
		}
	case "port":
		n, _ := r.number(s.value, "port", 1, maxPort)
		check.Port = uint16(n)
	case "source":
		check.Source, _ = r.host(s.value, "source")
	case "rise":
		check.Rise, _ = r.number(s.value, "rise", 1, maxRiseFall)
	case "fall":
		check.Fall, _ = r.number(s.value, "fall", 1, maxRiseFall)
	case "inhibit":
		r.unsupported(s.name, "leave it out", "check inhibit")
	}
}

// probePorts reports servers that are to be checked on no port at all.
func (r *directorReader) probePorts() {
	d := r.draft.director
	if r.checks["port"].Text != "" {
		return
	}
	for i, s := range d.Servers {
		if s.Check && s.Port == 0 && !r.draft.servers[i].wrong {
			r.fail(r.draft.servers[i].addr, "write "+s.Addr.String()+":2049 with the port of your service, or check port 2049",
				"server %s is to be checked, but neither it nor the check line has a port", s.Name)
		}
	}
}
