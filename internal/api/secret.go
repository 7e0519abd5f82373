package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fairlead/internal/config"
	"fairlead/internal/model"
)

// redacted is a configuration without its secrets.
func redacted(c Configuration) Configuration {
	c.Redacted = true
	c.Documents = redactedDocuments(c.Documents)
	if c.Draft != nil {
		draft := *c.Draft
		draft.Documents = redactedDocuments(draft.Documents)
		c.Draft = &draft
	}
	return c
}

func redactedDocuments(docs []model.Document) []model.Document {
	docs = slices.Clone(docs)
	for i, d := range docs {
		docs[i].Text = config.Redact(d.Text)
	}
	return docs
}

// secrets are what the answer to a request may not tell: the words that
// config.Redact takes out of documents, and the lines that they stand in. An
// admin is told everything: the zero secrets.
type secrets struct {
	lines    map[docLine]bool
	replacer *strings.Replacer
}

// A docLine is a line of a document.
type docLine struct {
	document string
	line     int
}

// hidden finds the secrets of the documents that are in the files and of those
// that were sent: an answer about documents quotes both.
func (h *handler) hidden(r *request, sent []model.Document) (secrets, error) {
	if r.by.Role >= model.RoleAdmin {
		return secrets{}, nil
	}
	c, err := h.daemon.Configuration(r.Context())
	if err != nil {
		return secrets{}, fmt.Errorf("find what an answer may not tell: %w", err)
	}
	found := secrets{lines: make(map[docLine]bool)}
	var words []string
	for _, d := range slices.Concat(c.Documents, sent) {
		kept := strings.Split(config.Redact(d.Text), "\n")
		for i, line := range strings.Split(d.Text, "\n") {
			if i < len(kept) && kept[i] == line {
				continue
			}
			found.lines[docLine{d.Name, i + 1}] = true
			words = append(words, taken(line, kept, i)...)
		}
	}
	// The longest first: a word may be a part of another one.
	slices.SortFunc(words, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, w := range words {
		pairs = append(pairs, w, hiddenWord(w))
	}
	found.replacer = strings.NewReplacer(pairs...)
	return found, nil
}

// taken are the words of a line that its redacted form lacks.
func taken(line string, redacted []string, i int) []string {
	var kept []string
	if i < len(redacted) {
		kept = strings.Fields(redacted[i])
	}
	return slices.DeleteFunc(strings.Fields(line), func(w string) bool { return slices.Contains(kept, w) })
}

// hiddenWord is what stands for a word that is told to nobody but an admin.
func hiddenWord(w string) string {
	if hidden := config.Redact(w); hidden != w {
		return hidden
	}
	return "***" // a secret because of the word before it
}

// line is a line of a document as the configuration shows it.
func (s secrets) line(text string) string {
	if s.replacer == nil {
		return text
	}
	return config.Redact(text)
}

func (s secrets) text(text string) string {
	if s.replacer == nil {
		return text
	}
	return s.replacer.Replace(text)
}

// checked leaves the secrets out. Of a line with a secret only an admin is told
// what is wrong: a message may quote any part of it.
func (s secrets) checked(c Checked) Checked {
	c.Diagnostics, c.Notes = slices.Clone(listed(c.Diagnostics)), slices.Clone(listed(c.Notes))
	for i, d := range c.Diagnostics {
		if s.lines[docLine{d.Source, d.Line}] {
			d.Text, d.Hint, d.Message = "***", "", "an admin is told what is wrong with this line, because it holds a secret"
			d.Rendered = fmt.Sprintf("%s:%d: %s: %s\n", d.Source, d.Line, d.Severity, d.Message)
		}
		d.Text, d.Hint, d.Message, d.Rendered = s.text(d.Text), s.text(d.Hint), s.text(d.Message), s.text(d.Rendered)
		c.Diagnostics[i] = d
	}
	for i, n := range c.Notes {
		c.Notes[i] = s.text(n)
	}
	return c
}

func (s secrets) difference(d Difference) Difference {
	d.Checked = s.checked(d.Checked)
	d.Effects, d.Documents = slices.Clone(listed(d.Effects)), slices.Clone(listed(d.Documents))
	for i, e := range d.Effects {
		d.Effects[i] = s.text(e)
	}
	for i, doc := range d.Documents {
		lines := slices.Clone(listed(doc.Lines))
		for j := range lines {
			lines[j].Text = s.line(lines[j].Text)
		}
		d.Documents[i].Lines = lines
	}
	return d
}
