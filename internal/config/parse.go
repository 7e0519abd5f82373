package config

import "slices"

// Parse reads the raw form of the sources. It always returns all that it could
// read; the diagnostics are about the form of the text only: words that begin no
// line, lines that stand in no section, characters that nobody can see.
func Parse(sources []Source) (File, []Diagnostic) {
	var f File
	var diags []Diagnostic
	for _, s := range sources {
		p := parser{unit: Unit{Name: s.Name}}
		for _, line := range p.lex(s) {
			p.line(line)
		}
		p.end()
		f.Units = append(f.Units, p.unit)
		diags = append(diags, p.diags...)
	}
	return f, diags
}

// parser reads one source, line by line.
type parser struct {
	report
	unit     Unit
	gap      []string // comments and blank lines since the last line with words
	indented int      // how many lines at the start of gap are indented
}

func (p *parser) line(l lexed) {
	if len(l.words) == 0 {
		p.comment(l)
		return
	}
	line := Line{Words: l.words, Comment: l.comment}
	if kind, ok := p.begins(line.keyword()); ok {
		p.open(kind, line)
		return
	}
	line.Lead = trimBlank(p.gap, false)
	s := &p.unit.Sections[len(p.unit.Sections)-1]
	if len(s.Body) == 0 {
		line.Lead = trimBlank(line.Lead, true)
	}
	s.Body = append(s.Body, line)
	p.gap, p.indented = nil, 0
}

// comment keeps a comment or blank line. Blank lines are never kept twice.
func (p *parser) comment(l lexed) {
	if l.comment == "" && len(p.gap) > 0 && p.gap[len(p.gap)-1] == "" {
		return
	}
	if l.comment != "" && l.indented && p.indented == len(p.gap) {
		p.indented++
	}
	p.gap = append(p.gap, l.comment)
}

// begins tells whether the first word of a line begins a section, and reports a
// word that belongs nowhere. A near miss of a section's word counts as it, so
// that the lines after it are not blamed too.
func (p *parser) begins(word Word) (Kind, bool) {
	var inside Section
	if n := len(p.unit.Sections); n > 0 {
		inside = p.unit.Sections[n-1]
	}
	words, known := inside.lines()
	if kind, ok := headKind(word.Text); ok {
		// A sysctl line of a service, or after another bare one, begins nothing.
		return kind, kind != KindSysctl || known && !slices.Contains(words, word.Text)
	}
	if !known || slices.Contains(words, word.Text) {
		return inside.Kind, false
	}
	head, far, near := nearest(word.Text, heads[1:])
	if _, closer, _ := nearest(word.Text, words); near && far < closer {
		p.fail(word, "did you mean "+quote(head)+"?", "unknown word %s", quote(word.Text))
		kind, _ := headKind(head)
		return kind, true
	}
	return p.stray(word, inside.Kind, words)
}

// stray reports a first word that fits neither the section nor begins one.
func (p *parser) stray(word Word, inside Kind, words []string) (Kind, bool) {
	of, known := owner(word.Text)
	switch {
	case inside == KindUnknown && len(p.unit.Sections) > 0:
		return inside, false // the section's own word was reported
	case inside == KindUnknown && known:
		p.fail(word, "write the line that begins the "+of+" before it",
			"%s stands outside of a section, it belongs to a %s", quote(word.Text), of)
		return inside, true
	case inside == KindUnknown:
		p.fail(word, expected(word.Text, heads[1:]), "unknown word %s", quote(word.Text))
		return inside, true
	case known:
		p.fail(word, "in a "+p.kind()+": "+either(words),
			"%s belongs to a %s, not to a %s", quote(word.Text), of, p.kind())
	default:
		p.fail(word, expected(word.Text, words), "unknown word %s in %s", quote(word.Text), p.where())
	}
	return inside, false
}

// where names the present section for messages.
func (p *parser) where() string {
	s := p.unit.Sections[len(p.unit.Sections)-1]
	if s.Kind == KindSysctl {
		return "the LVS service"
	}
	if args := s.Head.args(); len(args) > 0 {
		return s.Kind.String() + " " + args[0].Text
	}
	return s.Kind.String()
}

// kind names the kind of the present section for messages; of services of our own,
// the name too.
func (p *parser) kind() string {
	s := p.unit.Sections[len(p.unit.Sections)-1]
	if name := s.service(); name == web || name == notify {
		return "service " + name
	}
	return s.Kind.String()
}

func (p *parser) open(kind Kind, head Line) {
	head.Lead = p.close(true)
	p.unit.Sections = append(p.unit.Sections, Section{Kind: kind, Head: head})
}

func (p *parser) end() { p.unit.Tail = trimBlank(trimEnd(p.close(false)), true) }

// close gives the comments that belong to the section before to it, and returns
// the others. A comment that touches the section only, or is indented as its
// lines are, is the section's; one that touches what follows is not.
func (p *parser) close(more bool) []string {
	gap, indented := p.gap, p.indented
	p.gap, p.indented = nil, 0
	n := len(p.unit.Sections)
	if n == 0 {
		return trimBlank(gap, true)
	}
	touching := slices.Index(gap, "")
	if touching < 0 {
		touching = len(gap)
		if more {
			touching = indented
		}
	}
	p.unit.Sections[n-1].Tail = gap[:touching:touching]
	return trimBlank(gap[touching:], true)
}

// trimBlank drops the blank line at the start when start is set; an empty list
// becomes nil.
func trimBlank(gap []string, start bool) []string {
	if start && len(gap) > 0 && gap[0] == "" {
		gap = gap[1:]
	}
	return slices.Clip(slices.Clone(gap))
}

func trimEnd(gap []string) []string {
	if n := len(gap); n > 0 && gap[n-1] == "" {
		gap = gap[:n-1]
	}
	return gap
}
