package config

import (
	"fmt"
	"slices"

	"fairlead/internal/model"
)

// shared lists the indices of the servers that a balanced director has: all of
// them serve at the same time. Those that get new connections come first. Of any
// other director it lists none.
func (r *directorReader) shared() []int {
	d := r.draft.director
	d.Servers = nil
	var sharing, quiescent []int
	for i, s := range r.draft.director.Servers {
		if r.draft.servers[i].wrong {
			continue
		}
		d.Servers = append(d.Servers, s)
		switch {
		case s.Sorry:
		case s.Weight > 0:
			sharing = append(sharing, i)
		default:
			quiescent = append(quiescent, i)
		}
	}
	if !d.Balanced() {
		return nil
	}
	return append(sharing, quiescent...)
}

// balanced refuses what acts on a switch in a director that never switches, and
// warns of NFS on several servers at the same time.
func (r *directorReader) balanced() {
	all := r.shared()
	if len(all) == 0 {
		return
	}
	first, second := r.draft.servers[all[0]].name, r.draft.servers[all[1]].name
	if r.draft.director.Servers[all[1]].Weight == 0 && Failed(r.diags[r.before:]) {
		return // an option that could not be read may mean one server at a time
	}
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

// balancedNote says over how many servers a checked director is balanced.
func balancedNote(d model.Director) string {
	regular, quiescent := 0, 0
	for _, s := range d.Servers {
		if s.Sorry {
			continue
		}
		if regular++; s.Weight == 0 {
			quiescent++
		}
	}
	if quiescent == 0 {
		return fmt.Sprintf("is balanced over %d servers: one that was down gets new connections again as soon as it is up", regular)
	}
	return fmt.Sprintf("is balanced over %d servers, %d of them with weight 0 and without new connections: another one that was down gets them again as soon as it is up",
		regular, quiescent)
}
