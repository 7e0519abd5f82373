package config

import (
	"time"

	"fairlead/internal/model"
)

// defaultPersistence is how long a template lasts: as with ipvsadm -p.
const defaultPersistence = 300 * time.Second

// persistence reads option persistence [timeout TIME] [netmask MASK].
func (r *directorReader) persistence(words []Word, specs []spec) {
	p := &r.draft.director.Persistence
	*p = model.Persistence{Timeout: defaultPersistence, Bits: 32}
	for _, s := range r.settings("option persistence", words, specs) {
		switch s.name.Text {
		case "timeout":
			d, ok := r.duration(s.value, "timeout", longTime)
			if ok && d < time.Second {
				r.fail(s.value, "expected 1 or more", "timeout %s of option persistence is shorter than a second", s.value.Text)
			} else if ok {
				p.Timeout = d
			}
		case "netmask":
			if bits, ok := maskBits(s.value.Text); ok && bits > 0 {
				p.Bits = bits
			} else {
				r.fail(s.value, "for example 255.255.255.0, or 24", "netmask %s of option persistence is not a mask of 1 to 32 bits", quote(s.value.Text))
			}
		}
	}
}

// persists warns of persistence where there is nothing to choose.
func (r *directorReader) persists() {
	w, given := r.options["persistence"]
	if d := r.draft.director; given && !d.Balanced() && len(d.Servers) > 0 && !Failed(r.diags[r.before:]) {
		r.warn(w, "leave the line out", "option persistence has no effect in %s: one server at a time serves all clients", r.of)
	}
}
