package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fairlead/internal/decide"
	"fairlead/internal/model"
)

// paths are the ways by which checks reach virtual IPs on single servers.
type paths struct {
	stale bool                  // what they follow from has changed
	at    time.Time             // of the last Apply
	why   map[model.Path]string // why one is not to be had
	ways  map[model.ServerRef]via
}

// via is what is known of one server's paths.
type via struct {
	wanted []model.VIPTest
	open   []model.VIPTest // those of wanted whose path is there
	vips   string          // of open, for people
	note   string          // why some of wanted are not open
}

// route brings the paths to what is wanted, when that may have changed, and from
// time to time: what somebody else took away comes back.
func (l *loop) route() {
	if !l.paths.stale && time.Since(l.paths.at) < refresh {
		return
	}
	why := l.parts.Paths.Apply(l.state.Paths())
	if l.paths.stale || !maps.Equal(why, l.paths.why) {
		l.paths.ways = make(map[model.ServerRef]via)
	}
	l.paths.stale, l.paths.at, l.paths.why = false, time.Now(), why
}

// viaOf is what is known of a server's paths.
func (l *loop) viaOf(ref model.ServerRef) via {
	if w, known := l.paths.ways[ref]; known {
		return w
	}
	w := via{wanted: l.state.VIPTests(ref)}
	var vips, notes []string
	for _, v := range w.wanted {
		path, ok := l.state.Path(ref, v)
		why := l.paths.why[path]
		if !ok {
			why = "no interface of this machine leads there"
		}
		if why == "" {
			w.open = append(w.open, v)
			vips = append(vips, v.VIP.String())
			continue
		}
		notes = append(notes, fmt.Sprintf("it is not checked at %s: %s", v.VIP, why))
	}
	w.vips, w.note = strings.Join(slices.Compact(vips), ", "), strings.Join(slices.Compact(notes), "; ")
	if l.paths.ways != nil {
		l.paths.ways[ref] = w
	}
	return w
}

// open are the targets with those tests at virtual IPs that can be made.
func (l *loop) open(t decide.Target) decide.Target {
	if len(t.Via) > 0 {
		t.Via = l.viaOf(t.Ref).open
	}
	return t
}

// pathAlarms tell of the first server of each director that cannot be checked at a
// virtual IP, unless its interface is the reason.
func (l *loop) pathAlarms(directors []model.DirectorStatus) []model.Alarm {
	if len(l.paths.why) == 0 {
		return nil
	}
	for _, link := range l.links {
		if !link.Up && slices.ContainsFunc(l.desired.Rules.Ifaces, func(name string) bool { return name == link.Name }) {
			return nil
		}
	}
	var all []model.Alarm
	for _, d := range directors {
		for _, s := range d.Servers {
			if s.VIPNote == "" {
				continue
			}
			all = append(all, model.Alarm{
				What: fmt.Sprintf("the servers of director %s are not all checked at its virtual IP", d.Name),
				Why:  s.Name + ": " + s.VIPNote,
				Do:   "mend it; or write check via own, to check them at their own addresses only",
			})
			break
		}
	}
	return all
}
