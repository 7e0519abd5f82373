package config

import (
	"slices"

	"fairlead/internal/model"
)

// Hooks lists the programmes that a configuration names, each once, in order.
func Hooks(cfg model.Config) []string {
	var all []string
	for _, d := range cfg.Directors {
		for _, h := range []model.Hook{d.Fence, d.Promote} {
			if h.Command != "" && !slices.Contains(all, h.Command) {
				all = append(all, h.Command)
			}
		}
	}
	return all
}

// CheckHooks reports the hooks of a checked configuration that the machine
// cannot run, at their places. Trouble says why, by programme; what is not in
// it can be run.
func CheckHooks(f File, trouble map[string]string) []Diagnostic {
	var r report
	for _, u := range f.Units {
		for _, s := range u.Sections {
			for _, l := range s.Body {
				if s.Kind != KindDirector || l.keyword().Text != "hook" || len(l.Words) < 3 {
					continue
				}
				if why := trouble[l.Words[2].Text]; why != "" {
					r.fail(l.Words[2], "", "hook %s cannot be run: %s", l.Words[1].Text, why)
				}
			}
		}
	}
	return arrange(f, r.diags)
}
