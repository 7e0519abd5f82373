package config

import (
	"slices"

	"fairlead/internal/model"
)

// Hooks lists the programmes that a configuration names, each once, in order: the
// hooks of its directors with those that check and measure, and the commands that notify.
func Hooks(cfg model.Config) []string {
	var all []string
	add := func(path string) {
		if path != "" && !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	for _, d := range cfg.Directors {
		add(d.Fence.Command)
		add(d.Promote.Command)
		add(d.Sync.Command)
		for _, t := range d.Check.Tests {
			add(t.Command)
		}
	}
	for _, t := range cfg.Notify {
		if t.Kind == model.TargetCommand {
			add(t.To)
		}
	}
	return all
}

// Authorities lists the files of authorities that the checks of a configuration name,
// each once, in order.
func Authorities(cfg model.Config) []string {
	var all []string
	for _, d := range cfg.Directors {
		for _, t := range d.Check.Tests {
			if t.CA != "" && !slices.Contains(all, t.CA) {
				all = append(all, t.CA)
			}
		}
	}
	return all
}

// CheckAuthorities reports the files of authorities that cannot be used, at their
// places: with one, every server of its director would fail its check. Trouble says
// why, by file.
func CheckAuthorities(f File, trouble map[string]string) []Diagnostic {
	var r report
	eachLine(f, func(s Section, l Line) {
		if s.Kind != KindDirector || l.keyword().Text != "option" {
			return
		}
		for i := 2; i+1 < len(l.Words); i++ {
			if why := trouble[l.Words[i+1].Text]; l.Words[i].Text == "ca" && why != "" {
				r.fail(l.Words[i+1], "", "the servers cannot be checked with these authorities: the file %s", why)
			}
		}
	})
	return arrange(f, r.diags)
}

// CheckHooks reports the programmes of a checked configuration that the machine
// cannot run, at their places. Trouble says why, by programme; what is not in it can
// be run. A hook that cannot be run is an error, as every switch waits for it, and so is a check. A
// command is a warning: nobody being told must not keep a director from starting.
func CheckHooks(f File, trouble map[string]string) []Diagnostic {
	var r report
	for _, u := range f.Units {
		for _, s := range u.Sections {
			for _, l := range s.Body {
				r.programme(s, l, trouble)
			}
		}
	}
	return arrange(f, r.diags)
}

// programme reports the programme that a line names.
func (r *report) programme(s Section, l Line, trouble map[string]string) {
	switch word := l.keyword().Text; {
	case s.Kind == KindDirector && word == "hook" && len(l.Words) > 2:
		if why := trouble[l.Words[2].Text]; why != "" {
			r.fail(l.Words[2], "", "hook %s cannot be run: %s", l.Words[1].Text, why)
		}
	case s.Kind == KindDirector && word == "option" && len(l.Words) > 2 && l.Words[1].Text == model.CheckExec.String():
		if why := trouble[l.Words[2].Text]; why != "" {
			r.fail(l.Words[2], "", "the servers cannot be checked by it: %s", why)
		}
	case s.Kind == KindDirector && word == "option" && len(l.Words) > 2 && l.Words[1].Text == "synccheck":
		for i := 2; i+1 < len(l.Words); i++ {
			if why := trouble[l.Words[i+1].Text]; l.Words[i].Text == "exec" && why != "" {
				r.fail(l.Words[i+1], "", "the copies of the standby servers cannot be measured by it: %s", why)
			}
		}
	case s.service() == notify && word == model.TargetCommand.String() && len(l.Words) > 1:
		if why := trouble[l.Words[1].Text]; why != "" {
			r.warn(l.Words[1], "", "this command cannot be run: %s", why)
		}
	}
}
