package config

import (
	"bytes"
	"strings"
	"unicode"
)

// maxText is the longest source that is read, in bytes. A configuration within
// the limits of this package is far smaller.
const maxText = 1 << 20

// lexed is a line of the text; both parts may be empty.
type lexed struct {
	words    []Word
	comment  string
	indented bool
}

// lex splits a source into lines and their words. Words are separated by any
// kind of blank; a comment begins with a # at the start of a word. There are no
// quotes and no continued lines.
func (r *report) lex(s Source) []lexed {
	if len(s.Text) > maxText {
		r.fail(Word{Pos: Pos{s.Name, 1, 1}}, "", "%s is longer than 1 MiB", s.Name)
		return nil
	}
	texts := splitLines(s.Text)
	lines := make([]lexed, len(texts))
	for i, text := range texts {
		lines[i] = lexLine(text, Pos{s.Name, i + 1, 1})
		r.characters(lines[i].words)
	}
	return lines
}

// splitLines splits a text into lines without their ends. Bytes that are not
// UTF-8 become U+FFFD each, a byte order mark is dropped, and so is the empty
// line after the last line's end.
func splitLines(text []byte) [][]rune {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	text = bytes.TrimSuffix(text, []byte("\n"))
	var lines [][]rune
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		lines = append(lines, []rune(string(bytes.TrimSuffix(line, []byte("\r")))))
	}
	return lines
}

func lexLine(text []rune, at Pos) lexed {
	line := lexed{indented: len(text) > 0 && blank(text[0])}
	for i := 0; i < len(text); {
		if blank(text[i]) {
			i++
			continue
		}
		if text[i] == '#' {
			line.comment = strings.TrimRightFunc(string(text[i:]), blank)
			break
		}
		start := i
		for i < len(text) && !blank(text[i]) {
			i++
		}
		word := Word{at, string(text[start:i])}
		word.Column = start + 1
		line.words = append(line.words, word)
	}
	return line
}

// characters reports characters that nobody can see. They come with text that
// was pasted from documents, and make words differ that look the same.
func (r *report) characters(words []Word) {
	for _, w := range words {
		for i, c := range w.Text {
			if visible(c) {
				continue
			}
			at := w.cut(i, i+len(string(c)))
			if c == unicode.ReplacementChar {
				r.fail(at, "save the file as UTF-8", "%s holds a byte that is not UTF-8", quote(w.Text))
			} else {
				r.fail(at, "delete it and type the word again", "%s holds the invisible character %U", quote(w.Text), c)
			}
			break // one report a word is enough
		}
	}
}

// blank tells whether a character separates words. A byte order mark in the
// midst of a text comes from files that were joined.
func blank(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' }

func visible(r rune) bool { return r != unicode.ReplacementChar && unicode.IsPrint(r) }
