package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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
		docs[i].Text = redact(d.Text)
	}
	return docs
}

// secrets are what the answer to a request may not tell: the words that
// redact takes out of documents, and the lines that they stand in. An
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
		kept := strings.Split(redact(d.Text), "\n")
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
		pairs = append(pairs, w, "***")
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
			lines[j].Text = s.text(lines[j].Text)
		}
		d.Documents[i].Lines = lines
	}
	return d
}

// redact takes the addresses out of a text: where a webhook is, may hold a token.
// It does not matter in which section they stand, nor whether in a comment. The
// lines stay where they are.
func redact(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		words, before := strings.Fields(line), ""
		found := false
		for j, w := range words {
			if strings.Contains(w, "://") || strings.EqualFold(before, "webhook") {
				words[j], found = "***", true
			}
			before = w
		}
		if found {
			indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
			lines[i] = indent + strings.Join(words, " ")
		}
	}
	return strings.Join(lines, "\n")
}
