package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Source is one text of a configuration. All sources together are one
// configuration; the order matters for flows only.
type Source struct {
	Name string // as people know it, usually the file's name
	Text []byte
}

// Pos is a place in a source. Lines and columns start at 1; a column counts
// characters (a tab is one), not bytes.
type Pos struct {
	Source string
	Line   int
	Column int
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.Source, p.Line, p.Column) }

// Severity says what a diagnostic means for the configuration.
type Severity uint8

const (
	Error   Severity = iota // the configuration is refused as a whole
	Warning                 // it is accepted, but somebody should look
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Diagnostic is one thing that is wrong with a configuration.
type Diagnostic struct {
	Pos
	Severity Severity
	Text     string // the offending text
	Message  string // what is wrong
	Hint     string // what was expected, or what to do; may be empty
}

// String is the diagnostic on one line: source:line:column: severity: message.
func (d Diagnostic) String() string {
	s := d.heading()
	if d.Hint != "" {
		s += "; " + d.Hint
	}
	return s
}

// heading is the diagnostic without its hint. What concerns no line of a source
// has no place.
func (d Diagnostic) heading() string {
	if d.Line == 0 {
		return fmt.Sprintf("%s: %s", d.Severity, d.Message)
	}
	return fmt.Sprintf("%s: %s: %s", d.Pos, d.Severity, d.Message)
}

// Failed tells whether a diagnostic is an error.
func Failed(diags []Diagnostic) bool {
	return slices.ContainsFunc(diags, func(d Diagnostic) bool { return d.Severity == Error })
}

// Rendering shows diagnostics of some sources. It splits each source into lines once:
// there may be thousands of diagnostics.
type Rendering struct {
	sources []Source
	lines   map[string][][]rune // of each source that was asked for
}

// NewRendering shows diagnostics of these sources.
func NewRendering(sources []Source) Rendering {
	return Rendering{sources: sources, lines: make(map[string][][]rune)}
}

// Render shows the diagnostic over several lines: the message, the line of the
// source with the offending text marked below it, and the hint.
func (r Rendering) Render(d Diagnostic) string {
	var b strings.Builder
	fmt.Fprintln(&b, d.heading())
	if line, ok := r.line(d.Pos); ok {
		number := fmt.Sprint(d.Line)
		fmt.Fprintf(&b, "  %s | %s\n", number, string(line))
		fmt.Fprintf(&b, "  %s | %s\n", strings.Repeat(" ", len(number)), mark(line, d))
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "  %s\n", d.Hint)
	}
	return b.String()
}

// longLine is the length of a line, in characters, that is no longer shown.
const longLine = 500

// line finds the line of a position, made safe for a terminal.
func (r Rendering) line(p Pos) ([]rune, bool) {
	lines, ok := r.lines[p.Source]
	if !ok {
		if i := slices.IndexFunc(r.sources, func(s Source) bool { return s.Name == p.Source }); i >= 0 {
			lines = splitLines(r.sources[i].Text)
		}
		r.lines[p.Source] = lines
	}
	if p.Line < 1 || p.Line > len(lines) {
		return nil, false
	}
	line := lines[p.Line-1]
	if len(line) > longLine {
		return nil, false
	}
	line = slices.Clone(line)
	for i, c := range line {
		if c != '\t' && !visible(c) {
			line[i] = '\uFFFD'
		}
	}
	return line, true
}

// mark is a line of carets below the offending text. It repeats the tabs before
// it, so that both lines are indented alike.
func mark(line []rune, d Diagnostic) string {
	var b strings.Builder
	for i := range d.Column - 1 {
		if i < len(line) && line[i] == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	width := min(len([]rune(d.Text)), len(line)-d.Column+1)
	b.WriteString(strings.Repeat("^", max(width, 1)))
	return b.String()
}

// report collects diagnostics.
type report struct{ diags []Diagnostic }

func (r *report) add(s Severity, at Word, hint, message string) {
	r.diags = append(r.diags, Diagnostic{
		Pos: at.Pos, Severity: s, Text: at.Text, Message: printable(message), Hint: printable(hint),
	})
}

// printable makes a message safe for a terminal and no longer than anybody
// reads: it may hold names out of a text that is not what it should be.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		if visible(c) {
			return c
		}
		return '\uFFFD'
	}, s)
	return shorten(s, 400)
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// fail reports an error at a word.
func (r *report) fail(at Word, hint, format string, args ...any) {
	r.add(Error, at, hint, fmt.Sprintf(format, args...))
}

// warn reports a warning at a word.
func (r *report) warn(at Word, hint, format string, args ...any) {
	r.add(Warning, at, hint, fmt.Sprintf(format, args...))
}

// unsupported reports something that is valid but that the data plane cannot do.
func (r *report) unsupported(at Word, hint, format string, args ...any) {
	r.add(Error, at, hint, fmt.Sprintf(format, args...)+" is not supported yet")
}

// arrange sorts diagnostics by the order of the sources and by their place.
func arrange(f File, diags []Diagnostic) []Diagnostic {
	order := make(map[string]int, len(f.Units))
	for i, u := range f.Units {
		if _, seen := order[u.Name]; !seen {
			order[u.Name] = i
		}
	}
	slices.SortStableFunc(diags, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(order[a.Source], order[b.Source]),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column))
	})
	return diags
}

// quote shows a text of the user within a message, cut when it is long.
func quote(s string) string { return fmt.Sprintf("%q", shorten(s, 40)) }
