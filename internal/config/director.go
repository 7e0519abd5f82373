package config

import (
	"fmt"
	"slices"
	"strings"

	"fairlead/internal/model"
)

// checkSpecs are the settings of a check line. Older versions of the appliance
// have them on the option line of the check.
var checkSpecs = []spec{
	{name: "interval", value: "a time"}, {name: "timeout", value: "a time"},
	{name: "port", value: "a port number"}, {name: "source", value: "an address"},
	{name: "rise", value: "a number"}, {name: "fall", value: "a number"}, {name: "inhibit"},
	{name: "via", value: "vip or own"},
}

var serverSpecs = []spec{{name: "weight", value: "a number"}, {name: "check"}, {name: "sorry"}}

// directorReader reads one director section.
type directorReader struct {
	*checker
	draft   directorDraft
	of      string          // the director, for messages
	lines   map[string]Word // balance, mode, check: where each was given first
	options map[string]Word // the same for options
	checks  map[string]Word // the same for settings of the check
	hooks   map[string]Word // the same for hooks
	returns Word            // the failback, when it is not by order only
	kind    Word            // the first option that names a kind of check
	tests   []Word          // the options of the check's tests
	// Of the test that is read:
	wrong    int  // how many diagnostics there were before it
	protocol Word // the word tcp
	checked  Word // the word check of the first server that has it
	strange  bool // Parse reported lines: it is not known what is missing
	full     bool // too many servers were reported
	before   int  // how many diagnostics there were before it
}

// director reads a director section.
func (c *checker) director(s Section) {
	args := s.Head.args()
	if len(args) == 0 {
		c.fail(s.Head.keyword(), "for example director nfs", "\"director\" needs a name")
		return
	}
	r := directorReader{
		checker: c, of: "director " + args[0].Text, strange: stranger(s), before: len(c.diags),
		lines: make(map[string]Word), options: make(map[string]Word), checks: make(map[string]Word), hooks: make(map[string]Word),
		draft: directorDraft{name: args[0], director: model.Director{
			Name: args[0].Text, Scheduler: model.RoundRobin, Mode: model.ModeNAT,
			Check: model.Check{
				Interval: defaultInterval, Timeout: defaultTimeout,
				Rise: defaultRise, Fall: defaultFall,
			},
		}},
	}
	c.directorHead(s.Head)
	for _, l := range s.Body {
		r.line(l)
	}
	r.whole()
	r.balanced()
	r.persists()
	r.syncs()
	r.switching()
	if c.isFirst("director", args[0]) {
		c.directors = append(c.directors, r.draft)
		if len(c.directors) == maxDirectors+1 {
			c.fail(args[0], "at most 128 are supported", "too many directors")
		}
	}
}

// isFirst reports a name that another section of the kind has.
func (c *checker) isFirst(kind string, name Word) bool {
	old, twice := c.seen[kind+" "+name.Text]
	if twice {
		c.fail(name, "the first is at "+old.Pos.String(), "second %s %s", kind, quote(name.Text))
		return false
	}
	c.seen[kind+" "+name.Text] = name
	return true
}

// directorHead reads director NAME [ADDRESS[:PORT] [TCP|UDP]].
func (c *checker) directorHead(l Line) {
	name := l.Words[1]
	c.name(name, "director", ".")
	if len(l.Words) < 3 {
		return
	}
	addr := l.Words[2]
	if ip, port, ok := c.hostPort(addr, "address"); ok {
		rule := "match dst " + ip.String()
		if port != 0 {
			rule += fmt.Sprintf(" proto tcp dstport %d", port)
		}
		c.unsupported(addr, "write flow "+name.Text+" director "+name.Text+", and below it "+rule, "a director's own address")
	}
	if len(l.Words) > 3 {
		if proto := l.Words[3]; proto.Text != "TCP" && proto.Text != "UDP" {
			c.fail(proto, "expected TCP or UDP", "unknown protocol %s of director %s", quote(proto.Text), name.Text)
		}
	}
	c.extra(l, 4)
}

// line reads a line of the section. Parse reported lines that begin with another word.
func (r *directorReader) line(l Line) {
	w := l.keyword()
	switch w.Text {
	case "option":
		r.option(l)
		return
	case "hook":
		r.hook(l)
		return
	case "server":
		r.server(l)
		return
	case "balance", "mode", "check":
	default:
		return
	}
	if old, twice := r.lines[w.Text]; twice {
		r.again(w, old, r.of)
		return
	}
	r.lines[w.Text] = w
	switch w.Text {
	case "balance":
		r.balance(l)
	case "mode":
		r.mode(l)
	case "check":
		r.checkLine(l)
	}
}

// balance reads balance SCHEDULER; leastconn may be followed by localitybased
// and that by replication.
func (r *directorReader) balance(l Line) {
	if len(l.Words) < 2 {
		r.fail(l.keyword(), "for example balance roundrobin", "\"balance\" needs a scheduler")
		return
	}
	end := 2
	for more := l.Words[1]; end < len(l.Words) && followsScheduler(more.Text, l.Words[end].Text); end++ {
		more = l.Words[end]
	}
	var s model.Scheduler
	if w := l.Words[1]; s.UnmarshalText([]byte(joined(l.Words[1:end]))) != nil {
		r.fail(w, expected(w.Text, schedulers()), "unknown scheduler %s", quote(w.Text))
		return
	}
	r.extra(l, end)
	r.draft.director.Scheduler = s
}

// followsScheduler tells whether a word belongs to the scheduler that the word
// before it names.
func followsScheduler(before, word string) bool {
	return before == "leastconn" && word == "localitybased" || before == "localitybased" && word == "replication"
}

func joined(words []Word) string {
	var all []string
	for _, w := range words {
		all = append(all, w.Text)
	}
	return strings.Join(all, " ")
}

// schedulers are the words that may follow balance.
func schedulers() []string {
	var all []string
	for _, s := range model.Schedulers() {
		if !strings.Contains(s.String(), " ") {
			all = append(all, s.String())
		}
	}
	return all
}

// mode reads mode gateway, nat or tunnel.
func (r *directorReader) mode(l Line) {
	if len(l.Words) < 2 {
		r.fail(l.keyword(), "write mode gateway, or mode tunnel", "\"mode\" needs a forwarding mode")
		return
	}
	r.extra(l, 2)
	w := l.Words[1]
	m := &r.draft.director.Mode
	if m.UnmarshalText([]byte(w.Text)) != nil {
		r.fail(w, expected(w.Text, []string{"gateway", "nat", "tunnel"}), "unknown mode %s", quote(w.Text))
	} else if *m == model.ModeNAT {
		r.unsupported(w, "use mode gateway, or mode tunnel", "mode %s", w.Text)
	}
}

// server reads server NAME ADDRESS[:PORT] [weight N] [check] [sorry].
func (r *directorReader) server(l Line) {
	r.lines["server"] = l.keyword()
	before := len(r.diags)
	if len(l.Words) < 3 {
		r.fail(l.keyword(), "for example server nfs-01 192.168.10.100:2049", "\"server\" needs a name and an address")
		return
	}
	s := model.Server{Name: l.Words[1].Text, Weight: defaultWeight}
	r.name(l.Words[1], "server", ".")
	s.Addr, s.Port, _ = r.hostPort(l.Words[2], "address")
	for _, set := range r.settings("server "+s.Name, l.Words[3:], serverSpecs) {
		switch set.name.Text {
		case "weight":
			if n, ok := r.number(set.value, "weight", 0, maxWeight); ok {
				s.Weight = n
			}
		case "check":
			s.Check = true
			if r.checked.Text == "" {
				r.checked = set.name
			}
		case "sorry":
			s.Sorry = true
		}
	}
	r.addServer(s, l, before < len(r.diags))
}

// addServer adds a server that no earlier one of the director contradicts. Of
// one whose line is wrong, it is not known whether it is a regular server.
func (r *directorReader) addServer(s model.Server, l Line, wrong bool) {
	d := &r.draft.director
	for i, other := range d.Servers {
		if other.Name == s.Name {
			r.fail(l.Words[1], "the first is at "+r.draft.servers[i].name.Pos.String(), "second server %s in %s", quote(s.Name), r.of)
			return
		}
	}
	for i, other := range d.Servers {
		if s.Addr.IsValid() && other.Addr == s.Addr {
			r.fail(l.Words[2], "the first is at "+r.draft.servers[i].addr.Pos.String(),
				"server %s has the same address as server %s", s.Name, other.Name)
			break
		}
	}
	if len(d.Servers) == maxServers {
		if !r.full {
			r.fail(l.Words[1], "at most 16 are supported", "too many servers in %s", r.of)
		}
		r.full = true
		return
	}
	d.Servers = append(d.Servers, s)
	r.draft.servers = append(r.draft.servers, serverDraft{l.Words[1], l.Words[2], wrong})
}

// whole checks what only the whole section shows.
func (r *directorReader) whole() {
	d, name := r.draft.director, r.draft.name
	if _, given := r.lines["mode"]; !given && !r.strange {
		r.unsupported(name, "write mode gateway, or mode tunnel", "%s has no mode line, which means mode nat: this", r.of)
	}
	if len(d.Servers) == 0 {
		if _, given := r.lines["server"]; !given && !r.strange {
			r.fail(name, "for example server nfs-01 192.168.10.100:2049", "%s has no server", r.of)
		}
		return
	}
	r.servers()
	r.timing()
	if at := r.checks["via"]; d.Mode == model.ModeTunnel && at.Text != "" && !d.Check.Own {
		r.fail(at, "write check via own: its servers are checked at their own addresses",
			"checks of %s cannot go by its tunnels", r.of)
	}
}

// servers checks the servers together.
func (r *directorReader) servers() {
	d, name := r.draft.director, r.draft.name
	if !slices.ContainsFunc(d.Servers, func(s model.Server) bool { return s.Weight > 0 }) {
		r.fail(name, "give a server a weight above 0", "every server of %s has weight 0: none would get a connection", r.of)
	}
	if !r.strange && r.kind.Text == "" && r.checked.Text != "" {
		r.warn(r.checked, "write option tcpcheck to say so",
			"%s names no kind of check: its servers are checked by opening a TCP connection", r.of)
	}
	r.probePorts()
	r.families()
}

// timing warns of a timeout above the interval, and of a very short interval.
func (r *directorReader) timing() {
	d := r.draft.director
	if d.Check.Interval < shortInterval {
		r.warn(r.checks["interval"], "write 100ms or more: the clients' traffic tells of a failure sooner than a check does",
			"the check's interval of %s is very short: a server that is busy for an instant counts as down", d.Check.Interval)
	}
	if d.Check.Timeout > d.Check.Interval {
		at := r.checks["timeout"]
		if at.Text == "" {
			at = r.checks["interval"]
		}
		r.warn(at, "a check that hangs is noticed after the timeout only",
			"the check's timeout of %s is longer than its interval of %s", d.Check.Timeout, d.Check.Interval)
	}
}
