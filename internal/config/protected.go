package config

import (
	"maps"
	"slices"
	"strings"

	"fairlead/internal/model"
)

// notFromAfar is what to do about a line that the API may not set.
const notFromAfar = "edit the file on the director itself, then fairlead reload"

// guarded is a line that names a programme that runs as root, or a file that is
// read as root: who may write it may do anything.
type guarded struct {
	owner string // the section: a line that moves to another one is a new one
	text  string // its words
	hook  bool
}

// guard tells whether a line is guarded, and at which word.
func guard(s Section, l Line) (guarded, Word, bool) {
	keyword := strings.ToLower(l.keyword().Text)
	var words []string
	for _, w := range l.Words {
		words = append(words, w.Text)
	}
	g := guarded{owner: owned(s), text: strings.Join(words, " "), hook: keyword == "hook"}
	switch service := s.service(); {
	case keyword == "hook":
	case keyword == "option" && hasFile(l, "ca", model.CheckExec.String()),
		keyword == "option" && hasFile(l, "synccheck") && hasFile(l, "exec"):
		return g, l.Words[1], true
	case service == notify && keyword == model.TargetCommand.String():
	case service == notify && hasFile(l, "token-file", "password-file"):
		// The whole line: a secret must not be sent to somebody else.
	case service == web && keyword == "tls" && hasFile(l, "cert", "key"):
	default:
		return guarded{}, Word{}, false
	}
	return g, l.keyword(), true
}

func hasFile(l Line, settings ...string) bool {
	for _, w := range l.Words[1:] {
		for _, s := range settings {
			if strings.EqualFold(w.Text, s) {
				return true
			}
		}
	}
	return false
}

// owned names a section.
func owned(s Section) string {
	name := ""
	if args := s.Head.args(); len(args) > 0 {
		name = args[0].Text
	}
	return s.Kind.String() + " " + name
}

// Protected reports the lines of new sources that nobody may set from afar: those
// that name a programme or a secret file, and that the old sources do not have in
// the same section, word by word. So is a hook that a director loses while it
// stays. A section that goes, goes with all its lines.
func Protected(old, after []Source) []Diagnostic {
	var r report
	before, _ := Parse(old)
	file, _ := Parse(after)
	have := make(map[guarded]int)
	eachLine(before, func(s Section, l Line) {
		if g, _, ok := guard(s, l); ok {
			have[g]++
		}
	})
	eachLine(file, func(s Section, l Line) {
		g, at, ok := guard(s, l)
		if !ok {
			return
		}
		if have[g]--; have[g] < 0 {
			r.fail(at, notFromAfar, "a %s line of %s cannot be set through the API: it names what is run or read as root", quote(at.Text), g.owner)
		}
	})
	for _, u := range file.Units {
		for _, s := range u.Sections {
			r.lostHooks(s, have)
		}
	}
	return arrange(file, r.diags)
}

// lostHooks reports the hooks that a director had before and has no more.
func (r *report) lostHooks(s Section, left map[guarded]int) {
	if s.Kind != KindDirector {
		return
	}
	lost := slices.SortedFunc(maps.Keys(left), func(a, b guarded) int { return strings.Compare(a.text, b.text) })
	for _, g := range lost {
		if left[g] > 0 && g.owner == owned(s) && g.hook {
			r.fail(s.Head.keyword(), notFromAfar, "%s loses the line %s, which cannot be taken away through the API", g.owner, quote(g.text))
			left[g] = 0
		}
	}
}

func eachLine(f File, do func(Section, Line)) {
	for _, u := range f.Units {
		for _, s := range u.Sections {
			for _, l := range s.Body {
				do(s, l)
			}
		}
	}
}

// Redact takes the secrets out of a text: what a webhook's URL has beyond its
// host may be a token. It looks at every line, whatever section it seems to stand in
// and whether it is a comment; lines stay where they are.
func Redact(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if redacted, found := redactLine(line); found {
			lines[i] = redacted
		}
	}
	return strings.Join(lines, "\n")
}

// redactLine keeps the scheme and the host of URLs. A word behind "webhook" that
// is no URL goes wholly.
func redactLine(line string) (string, bool) {
	words, found, before := strings.FieldsFunc(line, blank), false, ""
	for j, w := range words {
		hidden := w
		switch {
		case strings.Contains(w, "://"):
			hidden = redactURL(w)
		case strings.EqualFold(strings.TrimLeft(before, "#"), model.TargetWebhook.String()):
			hidden = "***"
		}
		found = found || hidden != w
		words[j], before = hidden, w
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	return indent + strings.Join(words, " "), found
}

// redactURL keeps no more than what is surely a scheme and a host. A password
// may hold a slash: an @ anywhere can be the end of one.
func redactURL(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	host := rest[:hostEnd(rest)]
	if _, _, ok := splitAuthority(host); !ok || strings.Contains(rest, "@") {
		host = "***"
	}
	switch {
	case !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http"):
		return "***"
	case host == rest:
		return url
	}
	return scheme + "://" + host + "/***"
}
