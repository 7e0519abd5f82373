package api

import "fairlead/internal/config"

// Diagnostic is one finding in a configuration.
type Diagnostic struct {
	Source   string `json:"source"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"` // error, warning
	Text     string `json:"text"`     // the offending text
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
	Rendered string `json:"rendered"` // for people: with the line of the source and a mark below the place
}

// Diagnostics puts findings into the form that is sent.
func Diagnostics(sources []config.Source, found []config.Diagnostic) []Diagnostic {
	sent := make([]Diagnostic, len(found))
	rendering := config.NewRendering(sources)
	for i, d := range found {
		sent[i] = Diagnostic{
			Source:   d.Source,
			Line:     d.Line,
			Column:   d.Column,
			Severity: d.Severity.String(),
			Text:     d.Text,
			Message:  d.Message,
			Hint:     d.Hint,
			Rendered: rendering.Render(d),
		}
	}
	return sent
}
