package config

import (
	"strings"
	"testing"
	"time"
)

func TestNearest(t *testing.T) {
	candidates := []string{"balance", "mode", "check", "no", "tcp"}
	for word, want := range map[string]string{
		"blance": "balance", "blaance": "balance", "balcane": "balance", "BALANCE": "balance", "balence": "balance",
		"abalancee": "balance", "xxbalancex": "", "mdoe": "mode", "mod": "mode", "moed": "mode", "moooe": "",
		"on": "no", "n": "no", "x": "", "": "", "pct": "", "ctp": "tcp", "chekc": "check", "größe": "",
	} {
		if got, _, _ := nearest(word, candidates); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// Of two that are equally near, the first in order is meant.
func TestNearestTie(t *testing.T) {
	for _, candidates := range [][]string{{"nfs-1", "nfs-2"}, {"nfs-2", "nfs-1"}} {
		if got, _, _ := nearest("nfs-3", candidates); got != candidates[0] {
			t.Errorf("nearest(nfs-3, %q) = %q", candidates, got)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1},
		{"abc", "abcd", 1}, {"abc", "bc", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"überall", "uberall", 1},
	} {
		if got := editDistance([]rune(c.a), []rune(c.b)); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// Both tables that the language stands on name every kind.
func TestKinds(t *testing.T) {
	for k := KindFlow; k <= KindSysctl; k++ {
		if got, ok := headKind(k.String()); !ok || got != k {
			t.Errorf("headKind(%q) = %d, %t, want %d", k, got, ok, k)
		}
		if len(bodies[k]) == 0 {
			t.Errorf("a %s has no lines", k)
		}
	}
	if _, ok := headKind(""); ok {
		t.Error("no word begins a section")
	}
	for name := range options {
		if !strings.Contains(strings.Join(optionNames, " "), name) {
			t.Errorf("option %s is not suggested", name)
		}
	}
}

// Hostile text costs no more than its length allows.
func TestLargeText(t *testing.T) {
	text := map[string]string{
		"too long":       strings.Repeat("#", maxText+1),
		"one word":       "balance " + strings.Repeat("x", maxText-9),
		"missing":        strings.Repeat("flow a director x\nmatch dst 10.0.0.1\n", 20000),
		"many directors": strings.Repeat("director nfs-0123456789\nflow x director nsf-012345678\n", 10000),
		"many rules":     "flow a director a\n" + strings.Repeat("match dst 10.0.0.1 dstport 1\n", 30000),
		"many ignores":   "flow a director a\n" + strings.Repeat("ignore proto udp\n", 30000) + "match dst 10.0.0.1",
		"many servers":   "director a\n" + strings.Repeat("server a 10.0.0.1\n", 40000),
		"many words":     "flow a director a\nmatch " + strings.Repeat("dst 10.0.0.1 ", 60000),
		"many nots":      "flow a director a\nmatch " + strings.Repeat("not ", 200000),
	}
	for name, text := range text {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, diags := Load([]Source{{"large.cfg", []byte(text)}})
			if len(diags) == 0 {
				t.Error("no diagnostics")
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestLargeTextIsRefused(t *testing.T) {
	text := "flow a skip\n#" + strings.Repeat("#", maxText)
	_, diags := Load([]Source{{"large.cfg", []byte(text)}})
	want := "large.cfg:1:1: error: large.cfg is longer than 1 MiB"
	if len(diags) == 0 || diags[0].String() != want {
		t.Errorf("got %v, want %s", diags, want)
	}
}

// The same file given twice defines everything twice.
func TestSameSourceTwice(t *testing.T) {
	sources := noteFiles(t)
	_, diags := Load(append(sources, sources...))
	if n := len(diags); n != 4 { // the flow, the director and two sysctls
		t.Errorf("got %d diagnostics, want 4: %v", n, diags)
	}
}
