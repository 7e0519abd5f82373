package config

import (
	"slices"

	"fairlead/internal/model"
)

// regular tells whether new connections may go to a server while all is well.
func regular(s model.Server) bool { return !s.Sorry && s.Weight > 0 }

// shared lists the indices of a director's regular servers. It is balanced when
// there are several: all of them serve at the same time.
func (r *directorReader) shared() []int {
	var all []int
	for i, s := range r.draft.director.Servers {
		if regular(s) && !r.draft.servers[i].wrong {
			all = append(all, i)
		}
	}
	return all
}

// balanced refuses what acts on a switch in a director that never switches, and
// warns of NFS on several servers at the same time.
func (r *directorReader) balanced() {
	all := r.shared()
	if len(all) < 2 {
		return
	}
	first, second := r.draft.servers[all[0]].name, r.draft.servers[all[1]].name
	hint := "leave it out, or mark server " + second.Text + " sorry to use it only while " + first.Text + " is down"
	for _, words := range []map[string]Word{r.options, r.hooks} {
		for _, name := range slices.Concat(switchOptions, hookKinds) {
			if w, given := words[name]; given {
				r.fail(w, hint, "%s has no effect in a balanced director: the servers %s and %s serve at the same time",
					quote(name), first.Text, second.Text)
			}
		}
	}
	if port, nfs := nfsPort(r.draft.director); nfs {
		r.warn(second, "mark it sorry to use it only while "+first.Text+" is down, unless they share a file system made for that",
			"the servers %s and %s serve NFS at the same time (%s): a file system that both write to is damaged",
			first.Text, second.Text, port)
	}
}

// sharing is how many servers of a checked director serve at the same time.
func sharing(d model.Director) int {
	n := 0
	for _, s := range d.Servers {
		if regular(s) {
			n++
		}
	}
	return n
}
