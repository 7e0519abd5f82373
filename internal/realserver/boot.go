package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// sysctlDirs are where settings for the boot are read; a file in a former one
// replaces that of its name in a later one.
var sysctlDirs = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

// assigned is a setting that a file makes at boot.
type assigned struct{ name, text, file string }

// boot is what files set at boot, in order. A name may be a pattern.
type boot []assigned

// readBoot reads them as systemd-sysctl does, or sysctl --system where there is
// no systemd.
func readBoot(d disk) (boot, error) {
	files, err := layered(d, sysctlDirs, ".conf")
	if err != nil {
		return nil, err
	}
	if !hasSystemd(d) {
		files = append(files, "/etc/sysctl.conf")
	}
	var all boot
	for _, file := range files {
		text, err := d.text(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read what is set at boot: %w", err)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			name, value, ok := strings.Cut(strings.TrimPrefix(line, "-"), "=")
			if ok && line[0] != '#' && line[0] != ';' {
				all = append(all, assigned{slashed(strings.TrimSpace(name)), strings.TrimSpace(value), file})
			}
		}
	}
	return all, nil
}

// slashed is the path of a setting: whichever of dot and slash comes first
// separates.
func slashed(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		return dotted(name)
	}
	return name
}

// value is what a setting becomes at boot: the last one counts, and a name before
// any pattern.
func (b boot) value(name string) (assigned, bool) {
	for _, exact := range []bool{true, false} {
		for _, a := range slices.Backward(b) {
			hit := a.name == name
			if !hit && !exact {
				hit, _ = path.Match(a.name, name) // a bad pattern matches nothing
			}
			if hit {
				return a, true
			}
		}
	}
	return assigned{}, false
}

// judgeBoot tells whether the next boot brings what there is now.
func judgeBoot(b boot, wish Wish, links []Link) []Finding {
	state, do := Warning, "fairlead realserver setup --persist"
	if wish.Persist != "" {
		state, do = Wrong, "fairlead realserver setup, unless another file says otherwise: then change that one"
	}
	var all []Finding
	if len(wish.devs(true)) > 0 {
		for _, s := range []struct {
			name string
			good []string
		}{{"arp_ignore", quiet}, {"arp_announce", []string{"2"}}} {
			all = append(all, judgeBootSetting(b, s.name, s.good, links, state, do))
		}
	}
	if wish.Persist == "" {
		all = append(all, Finding{"boot", Warning, "fairlead keeps no address at boot here",
			"if nothing else does, the virtual IP is gone after a boot, on the day when this server is needed", do})
	}
	return all
}

func judgeBootSetting(b boot, name string, good []string, links []Link, state State, do string) Finding {
	why := "after a boot this server answers for the virtual IP, or speaks of it"
	at, set := b.value(confSetting("all", name))
	label := "net.ipv4.conf.all." + name
	switch {
	case !set:
		return Finding{"boot", state, fmt.Sprintf("no file sets %s at boot", label), why, do}
	case !slices.Contains(good, at.text):
		return Finding{"boot", state, fmt.Sprintf("%s sets %s to %s at boot", at.file, label, at.text), why, do}
	}
	for _, l := range links {
		own, set := b.value(confSetting(l.Name, name))
		if !l.silent() && set && own.text > at.text && !slices.Contains(good, own.text) {
			return Finding{"boot", state, fmt.Sprintf("%s sets %s to %s at boot, which counts more than that of all", own.file, dotted(own.name), own.text), why, do}
		}
	}
	return Finding{Check: "boot", What: fmt.Sprintf("%s sets %s to %s at boot", at.file, label, at.text)}
}
