package config

import (
	"slices"

	"fairlead/internal/model"
)

// HookFact is what the machine says of a hook's programme. The daemon runs it
// as root, so that whoever can change it is root.
type HookFact struct {
	Command string // as the configuration names it
	Err     string // why nothing is known of it; "" when the rest is
	File    FileFact
	Dirs    []FileFact // that it lies in: by its name, and after symbolic links
}

// FileFact is what the machine says of a file or a directory.
type FileFact struct {
	Path       string
	Regular    bool
	Executable bool
	Owner      uint32 // user number
	Shared     bool   // its group or all users may write
}

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

// CheckHooks compares the hooks of a checked configuration with what the
// machine says of their files. It passes over hooks that facts has nothing of.
func CheckHooks(f File, facts []HookFact) []Diagnostic {
	var r report
	for _, u := range f.Units {
		for _, s := range u.Sections {
			for _, l := range s.Body {
				if s.Kind != KindDirector || l.keyword().Text != "hook" || len(l.Words) < 3 {
					continue
				}
				at := l.Words[2]
				if i := slices.IndexFunc(facts, func(h HookFact) bool { return h.Command == at.Text }); i >= 0 {
					r.hookFile(at, facts[i])
				}
			}
		}
	}
	return arrange(f, r.diags)
}

// hookFile reports what keeps a programme from being run as root.
func (r *report) hookFile(at Word, h HookFact) {
	file := h.File
	switch {
	case h.Err != "":
		r.fail(at, "create it, or correct the path", "hook %s cannot be used: %s", h.Command, h.Err)
		return
	case !file.Regular:
		r.fail(at, "name a programme", "hook %s is not a file", h.Command)
		return
	case !file.Executable:
		r.fail(at, "run chmod 755 "+file.Path, "hook %s is not executable", h.Command)
	}
	for _, part := range append([]FileFact{file}, h.Dirs...) {
		r.onlyRoots(at, part)
	}
}

// onlyRoots reports a file or directory that others than root can change.
func (r *report) onlyRoots(at Word, file FileFact) {
	if file.Owner != 0 {
		r.fail(at, "run chown root "+file.Path,
			"%s belongs to user %d: a hook runs as root, so only root may change it", file.Path, file.Owner)
	}
	if file.Shared {
		r.fail(at, "run chmod go-w "+file.Path,
			"%s may be written by others: a hook runs as root, so only root may change it", file.Path)
	}
}
