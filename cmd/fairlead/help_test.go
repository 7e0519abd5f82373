package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// TestEveryHelp: each command says in a sentence what it does, each flag and
// argument what it is for, and all of it can be read on a terminal.
func TestEveryHelp(t *testing.T) {
	seen := 0
	everyCommand(t, func(n *kong.Node) {
		seen++
		got := shell{}.run(t.Context(), append(strings.Fields(n.Path()), "--help")...)
		if got.code != exitDone || got.err != "" || !strings.HasPrefix(got.out, "Usage: fairlead "+n.Path()) {
			t.Errorf("%s --help: got %+v", n.Path(), got)
		}
		for l := range strings.Lines(got.out) {
			if utf8.RuneCountInString(strings.TrimSuffix(l, "\n")) > 100 {
				t.Errorf("%s --help: a line is too long: %q", n.Path(), l)
			}
		}
		wantSentence(t, n.Path(), n.Help)
		for _, v := range n.Flags {
			wantSentence(t, n.Path()+" --"+v.Name, v.Help)
		}
		for _, v := range n.Positional {
			if v.Help == "" {
				t.Errorf("%s %s: no help", n.Path(), v.Name)
			}
		}
	})
	if seen < 20 {
		t.Errorf("only %d commands were seen", seen)
	}
}

func wantSentence(t *testing.T, what, help string) {
	t.Helper()
	first, _ := utf8.DecodeRuneInString(help)
	if !unicode.IsUpper(first) || !strings.HasSuffix(help, ".") {
		t.Errorf("%s: %q is no sentence", what, help)
	}
}
