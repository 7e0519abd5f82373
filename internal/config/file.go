package config

import "unicode/utf8"

// File is the raw form of a configuration: the words of every line and where
// they stand, the sections that the lines form, and the comments. It says
// nothing of what the words mean.
type File struct {
	Units []Unit // one for each source, in order
}

// Unit is the raw form of one source.
type Unit struct {
	Name     string
	Sections []Section
	Tail     []string // the comments after the last section; "" is a blank line
}

// Kind is what a section describes.
type Kind uint8

const (
	KindUnknown  Kind = iota // begins with a word that begins no section
	KindFlow                 // flow NAME …
	KindOutflow              // outflow NAME …
	KindDirector             // director NAME …
	KindService              // service NAME
	KindSysctl               // bare sysctl lines: they belong to the LVS service
)

// Section is a head line and the lines that belong to it.
type Section struct {
	Kind Kind
	Head Line
	Body []Line
	Tail []string // the comments that end the section
}

// Line is one line with at least one word.
type Line struct {
	Lead    []string // the comments before it; "" is a blank line
	Words   []Word
	Comment string // at its end; "" when there is none
}

// Word is a word of a line and its place.
type Word struct {
	Pos
	Text string
}

// keyword is the word that says what the line is.
func (l Line) keyword() Word { return l.Words[0] }

// args are the words after the keyword.
func (l Line) args() []Word { return l.Words[1:] }

// cut is the part of a word between two byte offsets, with its own column.
func (w Word) cut(from, to int) Word {
	w.Column += utf8.RuneCountInString(w.Text[:from])
	w.Text = w.Text[from:to]
	return w
}
