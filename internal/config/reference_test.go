package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct{ lang, text string }

func reference(t *testing.T) (text string, blocks []block) {
	t.Helper()
	return document(t, "reference/configuration.md")
}

func document(t *testing.T, name string) (text string, blocks []block) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(b)) {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !inside:
			blocks = append(blocks, block{lang: strings.TrimSpace(lang)})
			inside = true
		case fence:
			inside = false
		case inside:
			blocks[len(blocks)-1].text += line
		}
	}
	return string(b), blocks
}

// The examples of the reference load without a word, and the wrong ones say
// exactly what stands below them.
func TestReferenceExamples(t *testing.T) {
	_, blocks := reference(t)
	count := make(map[string]int)
	for i, b := range blocks {
		count[b.lang]++
		sources := []Source{{"example.cfg", []byte(b.text)}}
		_, diags := Load(sources)
		var got strings.Builder
		for _, d := range diags {
			got.WriteString(NewRendering(sources).Render(d))
		}
		want := ""
		switch b.lang {
		case "fairlead":
		case "fairlead-wrong":
			want = blocks[i+1].text
		default:
			continue
		}
		if got.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s\nof:\n%s", got.String(), want, b.text)
		}
	}
	if count["fairlead"] < 4 || count["fairlead-wrong"] < 2 {
		t.Errorf("too few examples: %v", count)
	}
}

// The guides' examples load without a word, and name options as they are.
func TestGuides(t *testing.T) {
	for name, least := range map[string]int{"how-to/fencing.md": 1, "how-to/failback.md": 0} {
		text, blocks := document(t, name)
		for _, b := range blocks {
			if b.lang != "fairlead" {
				continue
			}
			least--
			if _, diags := Load([]Source{{name, []byte(b.text)}}); len(diags) > 0 {
				t.Errorf("%v", diags)
			}
		}
		if least > 0 {
			t.Errorf("%s: no example", name)
		}
		for _, m := range regexp.MustCompile("`?(option [a-z]+[a-z0-9 ]*)[`\n]").FindAllStringSubmatch(text, -1) {
			source := anyDirector + "  " + m[1] + "\n"
			if _, diags := Load([]Source{{name, []byte(source)}}); Failed(diags) {
				t.Errorf("%s: %v", name, diags)
			}
		}
	}
}

// anyDirector is a director that a guide's line may be put into.
const anyDirector = "director nfs\n  mode gateway\n  server nfs-01 192.168.10.100:2049\n"

// The first example is the note's, and its canonical form as well.
func TestReferenceStartsWithTheNote(t *testing.T) {
	_, blocks := reference(t)
	source := []Source{{"example.cfg", []byte(blocks[0].text)}}
	got, _ := Load(source)
	if want := noteConfig; dump(got) != dump(want) {
		t.Errorf("got %s, want %s", dump(got), dump(want))
	}
	if f, _ := Parse(source); Print(f) != blocks[0].text {
		t.Errorf("the canonical form is\n%s", Print(f))
	}
}

// The note that the reference shows is one that is given.
func TestReferenceNotes(t *testing.T) {
	text, blocks := reference(t)
	source := []Source{{"example.cfg", []byte(blocks[0].text)}}
	cfg, _ := Load(source)
	f, _ := Parse(source)
	for _, n := range Notes(cfg, f) {
		if !strings.Contains(text, "\n    "+n+"\n") {
			t.Errorf("the reference does not show %q", n)
		}
	}
}

// The reference has every word of the language.
func TestReferenceIsComplete(t *testing.T) {
	text, _ := reference(t)
	words := slices.Concat(heads[1:], optionNames, policies, schedulers(), services, []string{"autostart",
		"not", "gateway", "nat", "tunnel", "tcp", "udp", "icmp", "localitybased", "replication",
		expireNoDestConn, expireQuiescentTemplate})
	for _, list := range bodies {
		words = append(words, list...)
	}
	for _, list := range [][]spec{checkSpecs, serverSpecs, ruleSpecs, hookSpecs, certSpecs, webhookSpecs, emailSpecs} {
		words = append(words, names(list)...)
	}
	words = slices.Concat(words, failbacks, hookKinds, hookPolicies, []string{"off"}, webLines, webTLSes, notifyLines, mailTLSes, eventNames())
	isPart := func(r rune) bool { return !isLetter(r) && !isDigit(r) && r != '_' }
	all := strings.FieldsFunc(text, isPart)
	for _, w := range words {
		if !slices.Contains(all, w) && !(strings.Contains(w, "-") && strings.Contains(text, w)) {
			t.Errorf("the reference does not mention %q", w)
		}
	}
}
