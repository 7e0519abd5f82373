package config

import "strings"

// Format is the canonical form of each source: a section's lines are indented
// by two blanks, words are apart by one, sections by a blank line. Comments stay
// where they were, and no word is changed.
func Format(f File) []Source {
	sources := make([]Source, len(f.Units))
	for i, u := range f.Units {
		sources[i] = Source{Name: u.Name, Text: []byte(printUnit(u))}
	}
	return sources
}

// Print is the canonical form of all sources as one text.
func Print(f File) string {
	var texts []string
	for _, s := range Format(f) {
		if len(s.Text) > 0 {
			texts = append(texts, string(s.Text))
		}
	}
	return strings.Join(texts, "\n")
}

func printUnit(u Unit) string {
	var b strings.Builder
	for i, s := range u.Sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		printSection(&b, s)
	}
	if len(u.Sections) > 0 && len(u.Tail) > 0 {
		b.WriteByte('\n')
	}
	printComments(&b, "", u.Tail)
	return b.String()
}

func printSection(b *strings.Builder, s Section) {
	indent := "  "
	if s.Kind == KindSysctl { // the lines stand for themselves
		indent = ""
	}
	printLine(b, "", s.Head)
	for _, l := range s.Body {
		printLine(b, indent, l)
	}
	printComments(b, indent, s.Tail)
}

func printLine(b *strings.Builder, indent string, l Line) {
	printComments(b, indent, l.Lead)
	b.WriteString(indent)
	for i, w := range l.Words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.Text)
	}
	if l.Comment != "" {
		b.WriteString(" " + l.Comment)
	}
	b.WriteByte('\n')
}

func printComments(b *strings.Builder, indent string, comments []string) {
	for _, c := range comments {
		if c != "" {
			b.WriteString(indent + c)
		}
		b.WriteByte('\n')
	}
}
