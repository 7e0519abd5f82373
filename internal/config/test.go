package config

import (
	"fmt"
	"slices"
	"strings"

	"fairlead/internal/model"
)

// maxTests is how many tests a director may have.
const maxTests = 8

// statusFirst and statusLast bound the status codes of HTTP (RFC 9110 section 15).
const (
	statusFirst = 100
	statusLast  = 599
)

// test reads an option that names a kind of check, and its settings.
func (r *directorReader) test(w Word, words []Word, specs []spec) {
	if r.kind.Text == "" {
		r.kind = w
	}
	check := &r.draft.director.Check
	var t model.Test
	_ = t.Kind.UnmarshalText([]byte(w.Text)) // every one of checkOptions is a kind
	r.wrong = len(r.diags)
	if t.Kind == model.CheckExec {
		if len(words) == 0 {
			r.fail(w, "for example option execcheck /etc/fairlead/checks/"+r.draft.name.Text, "%s needs the path of a programme", quote(w.Text))
			return
		}
		if r.path(words[0], "programme", "/etc/fairlead/checks/") {
			t.Command = words[0].Text
		}
		words = words[1:]
	}
	for _, s := range r.settings("the check of "+r.of, words, slices.Concat(specs, checkSpecs)) {
		switch {
		case s.name.Text == "port":
			n, _ := r.number(s.value, "port", 1, maxPort)
			t.Port = uint16(n)
		case isShared(s.name.Text):
			r.sharedSetting(s)
		default:
			r.testSetting(&t, s)
		}
	}
	r.complete(w, &t)
	switch i := slices.Index(check.Tests, t); {
	case i >= 0 && r.wrong == len(r.diags):
		r.fail(w, "the first is at "+r.tests[i].Pos.String(), "second %s in %s that asks the same", quote(w.Text), r.of)
		return
	case len(check.Tests) == maxTests:
		r.fail(w, fmt.Sprintf("at most %d are supported", maxTests), "too many checks in %s", r.of)
		return
	}
	check.Tests = append(check.Tests, t)
	r.tests = append(r.tests, w)
}

// complete fills in what was not said, and reports what must be.
func (r *directorReader) complete(w Word, t *model.Test) {
	switch t.Kind {
	case model.CheckHTTP:
		if t.URI == "" {
			t.URI = "/"
		}
	case model.CheckNFS:
		if t.Version == "" {
			t.Version = nfsVersions[0]
		}
	case model.CheckRPC:
		r.completeRPC(w, t)
	case model.CheckNone, model.CheckTCP, model.CheckARP, model.CheckICMP, model.CheckTLS, model.CheckExec:
	}
}

// isShared tells whether a setting holds for all tests of a director together.
func isShared(name string) bool {
	_, ok := find(checkSpecs, name)
	return ok && name != "port"
}

// testSetting reads a setting of one test.
func (r *directorReader) testSetting(t *model.Test, s setting) {
	switch s.name.Text {
	case "uri":
		if !strings.HasPrefix(s.value.Text, "/") || strings.ContainsFunc(s.value.Text, func(c rune) bool { return c <= ' ' || c > '~' }) || len(s.value.Text) > maxPath {
			r.fail(s.value, "for example uri /health, with at most 255 characters of ASCII", "uri %s is not a path on a server", quote(s.value.Text))
		}
		t.URI = s.value.Text
	case "statuscode":
		t.Status, _ = r.number(s.value, "statuscode", statusFirst, statusLast)
	case "vhost":
		t.VHost = r.hostName(s, ":[]_")
	case "iface":
		if r.iface(s.value) {
			t.Iface = s.value.Text
		}
	case "name":
		t.Name = r.hostName(s, "")
	case "ca":
		if r.path(s.value, "ca", "/etc/fairlead/") {
			t.CA = s.value.Text
		}
	case "program", "version", "udp", "tcp", "export", "file":
		r.rpcSetting(t, s)
	}
}

// hostName reads the name of a host; extra are the characters allowed beside
// letters, digits, hyphens and dots.
func (r *directorReader) hostName(s setting, extra string) string {
	wrong := func(c rune) bool {
		return c >= 128 || !isLetter(c) && !isDigit(c) && !strings.ContainsRune("-."+extra, c)
	}
	if strings.ContainsFunc(s.value.Text, wrong) || len(s.value.Text) > maxPath {
		r.fail(s.value, "for example "+s.name.Text+" www.example.com", "%s %s is not the name of a host", s.name.Text, quote(s.value.Text))
	}
	return s.value.Text
}

// checkLine reads the settings of a check line.
func (r *directorReader) checkLine(l Line) {
	for _, s := range r.settings("the check of "+r.of, l.args(), checkSpecs) {
		r.sharedSetting(s)
	}
}

// sharedSetting reads a setting that all tests share. Older versions of the
// appliance have them on an option line.
func (r *directorReader) sharedSetting(s setting) {
	if old, twice := r.checks[s.name.Text]; twice {
		r.again(s.name, old, "the check of "+r.of)
		return
	}
	r.checks[s.name.Text] = s.name
	check := &r.draft.director.Check
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
	case "via":
		ways := []string{"vip", "own"}
		if !slices.Contains(ways, s.value.Text) {
			r.fail(s.value, expected(s.value.Text, ways), "unknown way %s of the check", quote(s.value.Text))
		}
		check.Own = s.value.Text == "own"
	case "inhibit":
		r.unsupported(s.name, "leave it out", "check inhibit")
	}
}
