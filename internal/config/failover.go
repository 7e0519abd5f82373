package config

import (
	"fmt"
	"slices"
	"time"

	"fairlead/internal/model"
)

// hookSpecs are the settings of a hook, after its path.
var hookSpecs = []spec{{name: "timeout", value: "a time"}, {name: "policy", value: "require or try"}}

var (
	failbacks    = []string{model.FailbackAuto.String(), model.FailbackManual.String(), model.FailbackDelay.String()}
	hookKinds    = []string{model.HookFence.String(), model.HookPromote.String()}
	hookPolicies = []string{model.HookRequire.String(), model.HookTry.String()}
)

// failback reads option failback auto, manual or delay TIME.
func (r *directorReader) failback(l Line) {
	if len(l.Words) < 3 {
		r.fail(l.Words[1], "for example option failback manual", "\"failback\" needs %s", either(failbacks))
		return
	}
	d, w, end := &r.draft.director, l.Words[2], 3
	if d.Failback.UnmarshalText([]byte(w.Text)) != nil {
		r.fail(w, expected(w.Text, failbacks), "unknown failback %s", quote(w.Text))
		return
	}
	if d.Failback == model.FailbackDelay {
		if end = 4; len(l.Words) < end {
			r.fail(w, "for example option failback delay 5m", "\"delay\" needs a time")
			return
		}
		var ok bool
		if d.FailbackDelay, ok = r.duration(l.Words[3], "delay", longTime); !ok {
			return
		}
	}
	if d.Failback != model.FailbackManual {
		r.returns = w
	}
	r.extra(l, end)
}

// onNoServer reads option on-no-server hold or reject.
func (r *directorReader) onNoServer(l Line) {
	ways := []string{model.NoServerHold.String(), model.NoServerReject.String()}
	if len(l.Words) < 3 {
		r.fail(l.Words[1], "for example option on-no-server reject", "\"on-no-server\" needs %s", either(ways))
		return
	}
	if w := l.Words[2]; r.draft.director.OnNoServer.UnmarshalText([]byte(w.Text)) != nil {
		r.fail(w, expected(w.Text, ways), "unknown value %s of on-no-server", quote(w.Text))
	}
	r.extra(l, 3)
}

// waitOption reads an option whose value is a time or off.
func (r *directorReader) waitOption(l Line, to *time.Duration) {
	w := l.Words[1]
	if len(l.Words) < 3 {
		r.fail(w, "for example option "+w.Text+" 60", "%s needs a time or off", quote(w.Text))
		return
	}
	*to, _ = r.wait(l.Words[2], w.Text)
	r.extra(l, 3)
}

// hook reads hook fence|promote PATH [timeout TIME] [policy require|try].
func (r *directorReader) hook(l Line) {
	if len(l.Words) < 2 {
		r.fail(l.keyword(), "for example hook fence /etc/fairlead/hooks/fence", "\"hook\" needs a kind and a path")
		return
	}
	var kind model.HookKind
	w := l.Words[1]
	if kind.UnmarshalText([]byte(w.Text)) != nil {
		r.fail(w, expected(w.Text, hookKinds), "unknown kind of hook %s", quote(w.Text))
		return
	}
	if old, twice := r.hooks[w.Text]; twice {
		r.fail(w, "the first is at "+old.Pos.String(), "second hook %s in %s", quote(w.Text), r.of)
		return
	}
	r.hooks[w.Text] = w
	if len(l.Words) < 3 {
		r.fail(w, "for example hook "+w.Text+" /etc/fairlead/hooks/"+w.Text, "%s needs the path of a programme", quote(w.Text))
		return
	}
	to := &r.draft.director.Fence
	if kind == model.HookPromote {
		to = &r.draft.director.Promote
	}
	*to = r.readHook(kind, l)
}

// readHook reads a hook from its path on.
func (r *directorReader) readHook(kind model.HookKind, l Line) model.Hook {
	h := model.Hook{Timeout: defaultHookTimeout}
	if at := l.Words[2]; r.path(at, "hook", "/etc/fairlead/hooks/") {
		h.Command = at.Text
	}
	of := fmt.Sprintf("hook %s of %s", kind, r.of)
	for _, s := range r.settings(of, l.Words[3:], hookSpecs) {
		switch s.name.Text {
		case "timeout":
			h.Timeout, _ = r.duration(s.value, "timeout", maxTime)
		case "policy":
			if h.Policy.UnmarshalText([]byte(s.value.Text)) != nil {
				r.fail(s.value, expected(s.value.Text, hookPolicies), "unknown policy %s of a hook", quote(s.value.Text))
			} else if kind == model.HookFence && h.Policy == model.HookTry {
				r.warn(s.value, "leave it out: the default is policy require",
					"with policy try %s goes on when fencing fails: two servers may then write at once", r.of)
			}
		}
	}
	return h
}

// switching fills in how the director switches where nothing was said, and
// warns of a return that may bring old data back.
func (r *directorReader) switching() {
	if len(r.shared()) > 0 {
		return
	}
	d := &r.draft.director
	port, nfs := nfsPort(*d)
	if _, given := r.options["failback"]; nfs && !given {
		d.Failback = model.FailbackManual
	}
	if _, given := r.options["lastactive"]; nfs && !given {
		d.LastActive = defaultNFSLastActive
	}
	if nfs && r.returns.Text != "" {
		r.warn(r.returns, "write option failback manual, unless the servers share one storage",
			"%s serves NFS (%s) and fails back by itself: a server that returns may hold old data", r.of, port)
	}
}

// nfsPort tells where a director that serves NFS names its port.
func nfsPort(d model.Director) (where string, ok bool) {
	if !d.ServesNFS() {
		return "", false
	}
	for _, t := range d.Check.Tests {
		if (model.Check{Tests: []model.Test{t}}).NFS() && t.Port != model.NFSPort {
			return "option " + t.Kind.String(), true
		}
	}
	if d.Check.NFS() {
		return fmt.Sprintf("check port %d", model.NFSPort), true
	}
	i := slices.IndexFunc(d.Servers, func(s model.Server) bool { return s.Port == model.NFSPort })
	return fmt.Sprintf("port %d of server %s", model.NFSPort, d.Servers[i].Name), true
}

// unfenced warns of directors that would leave a server without fencing it.
func (c *checker) unfenced() {
	for _, d := range c.directors {
		if name := d.director.Name; len(d.director.Servers) > 1 && !d.director.Balanced() && d.director.Fence.Command == "" {
			c.warn(d.name, "write hook fence PATH, a programme that stops the server that is left",
				"nothing fences the servers of director %s: one that is left may go on writing while the next one serves", name)
		}
	}
}

// Notes say, for each director of a checked configuration, when it returns to a
// server that was down, and why, and where its servers are checked.
func Notes(cfg model.Config, f File) []string {
	said := failbackWords(f)
	var notes []string
	for _, d := range cfg.Directors {
		notes = append(notes, "director "+d.Name+": "+failbackNote(d, said[d.Name]))
		if slices.ContainsFunc(d.Servers, func(s model.Server) bool { return s.Check }) {
			notes = append(notes, "director "+d.Name+": "+whereNote(d))
		}
		for _, n := range syncNotes(d) {
			notes = append(notes, "director "+d.Name+": "+n)
		}
	}
	return notes
}

// failbackWords are the places of the directors' failback options, by director.
func failbackWords(f File) map[string]Word {
	said := make(map[string]Word)
	for _, u := range f.Units {
		for _, s := range u.Sections {
			for _, l := range s.Body {
				if s.Kind == KindDirector && len(l.Words) > 2 && l.Words[0].Text == "option" && l.Words[1].Text == "failback" {
					said[s.Head.Words[1].Text] = l.Words[1]
				}
			}
		}
	}
	return said
}

// whereNote says where the servers of a director are checked.
func whereNote(d model.Director) string {
	if d.Check.Own {
		return "its servers are checked at their own addresses only, as check via own says"
	}
	if d.Mode != model.ModeGateway {
		return fmt.Sprintf("its servers are checked at their own addresses only: no check can go by mode %s", d.Mode)
	}
	if len(d.Check.Tests) > 0 && !slices.ContainsFunc(d.Check.Tests, func(t model.Test) bool { return t.Kind != model.CheckARP && t.Kind != model.CheckExec }) {
		return "its servers are checked at their own addresses only: no other check of it can be made at the virtual IP"
	}
	return "its servers are also checked at their virtual IP; check via own would change that"
}

func failbackNote(d model.Director, said Word) string {
	if len(d.Servers) == 1 {
		return "has one server, so it never switches"
	}
	if d.Balanced() {
		return balancedNote(d)
	}
	how := map[model.Failback]string{
		model.FailbackAuto:   "fails back by itself (auto)",
		model.FailbackManual: "fails back by order only (manual)",
		model.FailbackDelay:  "fails back by itself after " + spell(d.FailbackDelay) + " (delay)",
	}[d.Failback]
	if said.Text != "" {
		return fmt.Sprintf("%s, as %s says", how, said.Pos)
	}
	if port, nfs := nfsPort(d); nfs {
		return how + ", because it serves NFS (" + port + "); option failback auto would change that"
	}
	return how + fmt.Sprintf(", because neither its check nor a server has NFS's port %d; option failback manual would change that", model.NFSPort)
}
