package config

import (
	"slices"
	"strings"
)

// heads are the words that begin a section, by kind.
var heads = []string{
	KindFlow: "flow", KindOutflow: "outflow", KindDirector: "director",
	KindService: "service", KindSysctl: "sysctl",
}

// String is the section's own word, for messages.
func (k Kind) String() string {
	if k == KindUnknown || int(k) >= len(heads) {
		return "section"
	}
	return heads[k]
}

// bodies are the words that begin a line of a section, by kind.
var bodies = [][]string{
	KindFlow:     {"match", "ignore"},
	KindOutflow:  {"match", "ignore"},
	KindDirector: {"balance", "mode", "check", "option", "hook", "server"},
	KindService:  lvsLines, // of others, see serviceLines
	KindSysctl:   lvsLines,
}

// lvsLines are the words that begin a line of the LVS service.
var lvsLines = []string{"sysctl", "no"}

// serviceLines are the words that begin a line of a service, by service.
var serviceLines = map[string][]string{lvs: lvsLines, web: webLines, notify: notifyLines}

// service is the service that a section names; "" when it names none.
func (s Section) service() string {
	if args := s.Head.args(); s.Kind == KindService && len(args) > 0 {
		return args[0].Text
	}
	return ""
}

// lines are the words that may begin a line of a section. They are not known of
// a service that is not.
func (s Section) lines() (words []string, known bool) {
	if s.Kind != KindService {
		return bodies[s.Kind], true
	}
	words, known = serviceLines[s.service()]
	return words, known
}

// headKind is the kind of section that a word begins.
func headKind(word string) (Kind, bool) {
	i := slices.Index(heads, word)
	return Kind(max(i, 0)), i > 0
}

// owner is the section that a line belongs to, by its first word.
func owner(word string) (string, bool) {
	for k, words := range bodies {
		if slices.Contains(words, word) {
			return Kind(k).String(), true
		}
	}
	for _, name := range []string{web, notify} {
		if slices.Contains(serviceLines[name], word) {
			return "service " + name, true
		}
	}
	return "", false
}

// stranger tells whether a section has a line that Parse reported: what the
// section says is then not known in full.
func stranger(s Section) bool {
	if kind, _ := headKind(s.Head.keyword().Text); kind != s.Kind || kind == KindUnknown {
		return true
	}
	words, known := s.lines()
	return slices.ContainsFunc(s.Body, func(l Line) bool {
		return !known || !slices.Contains(words, l.keyword().Text)
	})
}

// nearest finds the candidate that a mistyped word was meant to be: at most two
// letters away, one for short words, upper and lower case being alike. The
// distance is 3 when there is none.
func nearest(word string, candidates []string) (best string, distance int, ok bool) {
	distance = 3
	for _, c := range candidates {
		most := 2
		if len(c) < 5 {
			most = 1
		}
		if len(word) > 4*len(c)+8 { // bytes; too long to be near, and distances cost time
			continue
		}
		d := editDistance([]rune(strings.ToLower(word)), []rune(strings.ToLower(c)))
		if d <= most && d < distance && d < len(c) {
			best, distance, ok = c, d, true
		}
	}
	return best, distance, ok
}

// editDistance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment).
func editDistance(a, b []rune) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// expected is the hint for a word that is none of the candidates.
func expected(word string, candidates []string) string {
	if best, _, ok := nearest(word, candidates); ok {
		return "did you mean " + quote(best) + "?"
	}
	return "expected " + either(candidates)
}

// either joins words as a person would: a, b or c.
func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
