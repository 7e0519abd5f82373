package config

import (
	"fmt"
	"slices"
	"time"

	"fairlead/internal/model"
)

// How often the copies of standby servers are measured. A short maxlag needs more.
const (
	defaultSync  = 5 * time.Second
	shortSync    = 200 * time.Millisecond
	syncsPerLag  = 3 // measurements in the time that maxlag allows, where nothing is said
	leastPerLag  = 2 // at least
	syncFileHint = "/srv/nfs/.fairlead/"
)

var syncSpecs = []spec{{name: "file", value: "a path"}, {name: "exec", value: "a path"}, {name: "export", value: "a path"},
	{name: "version", value: either(nfsVersions)}, {name: "port", value: "a port number"}, {name: "interval", value: "a time"}, {name: "maxlag", value: "a time"}}

// sync reads option synccheck file PATH … or exec PATH …
func (r *directorReader) sync(w Word, words []Word) {
	before := len(r.diags)
	y := model.Sync{Port: model.NFSPort, Version: nfsVersions[0]}
	said := make(map[string]setting)
	for _, s := range r.settings("option synccheck", words, syncSpecs) {
		said[s.name.Text] = s
		switch s.name.Text {
		case "file":
			if r.path(s.value, "file", syncFileHint) {
				y.File = s.value.Text
			}
		case "exec":
			if r.path(s.value, "programme", "/etc/fairlead/checks/") {
				y.Command = s.value.Text
			}
		case "export":
			if s.value.Text == "/" || r.path(s.value, "export", "/srv/") {
				y.Export = s.value.Text
			}
		case "version":
			if y.Version = s.value.Text; !slices.Contains(nfsVersions, y.Version) {
				r.fail(s.value, "expected "+either(nfsVersions), "unknown version %s of NFS", quote(y.Version))
			}
		case "port":
			n, _ := r.number(s.value, "port", 1, maxPort)
			y.Port = uint16(n)
		case "interval":
			y.Interval, _ = r.duration(s.value, "interval", maxTime)
		case "maxlag":
			y.MaxLag, _ = r.duration(s.value, "maxlag", longTime)
		}
	}
	if len(r.diags) > before {
		return
	}
	r.syncWhole(w, &y, said)
	r.draft.director.Sync, r.draft.sync = y, w
}

// syncWhole checks the settings together, and fills in what was not said.
func (r *directorReader) syncWhole(w Word, y *model.Sync, said map[string]setting) {
	switch {
	case y.Off():
		r.fail(w, "for example option synccheck file "+syncFileHint+r.draft.name.Text+" maxlag 30", "%s needs a file or a programme", quote(w.Text))
		return
	case y.File != "" && y.Command != "":
		r.fail(said["exec"].name, "leave one of them out", "synccheck measures by a file or by a programme, not by both")
		return
	}
	for _, name := range []string{"export", "version", "port"} {
		if s, given := said[name]; given && y.Command != "" {
			r.fail(s.name, "leave it out", "%s has no effect: a programme measures", quote(name))
		}
	}
	if y.Interval == 0 {
		if y.Interval = defaultSync; y.MaxLag > 0 {
			y.Interval = max(shortSync, min(defaultSync, y.MaxLag/syncsPerLag))
		}
	}
	switch {
	case y.Interval < shortSync:
		r.fail(said["interval"].value, "expected "+spell(shortSync)+" or more", "interval %s of synccheck is too short: each measurement writes to the server's disk", spell(y.Interval))
	case y.MaxLag > 0 && y.MaxLag < leastPerLag*y.Interval:
		r.fail(said["maxlag"].value, fmt.Sprintf("write maxlag %s or more, or a shorter interval", spell(leastPerLag*y.Interval)),
			"maxlag %s cannot be measured every %s", spell(y.MaxLag), spell(y.Interval))
	}
}

// syncs warns of the option where there is no standby.
func (r *directorReader) syncs() {
	w, given := r.options["synccheck"]
	d := r.draft.director
	if !given || len(d.Servers) != 1 || Failed(r.diags[r.before:]) {
		return
	}
	r.warn(w, "leave the line out", "option synccheck has no effect in %s: it has one server, so there is no standby", r.of)
}

// heartbeats refuses two directors that write to one file of a server: each would take
// the other's heartbeat for that of a rival.
func (c *checker) heartbeats() {
	first := make(map[string]Word)
	for _, d := range c.directors {
		y := d.director.Sync
		for _, s := range d.director.Servers {
			if y.File == "" || !s.Addr.IsValid() {
				break
			}
			key := fmt.Sprintf("%s %s %s", s.Addr, y.Export, y.File)
			if old, taken := first[key]; taken {
				c.fail(d.sync, "give each director a file of its own", "director %s writes its heartbeat to the same file of %s as the one at %s", d.director.Name, s.Addr, old.Pos)
				break
			}
			first[key] = d.sync
		}
	}
}

// syncNotes say what the options of a checked configuration hold back.
func syncNotes(d model.Director) []string {
	if d.Sync.MaxLag == 0 || len(d.Servers) < 2 {
		return nil
	}
	return []string{fmt.Sprintf("a standby server whose copy is more than %s behind, or of which nobody knows how far, is taken by order only", spell(d.Sync.MaxLag))}
}
