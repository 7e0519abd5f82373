package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/dataplane"
	"fairlead/internal/model"
)

// What is known of a daemon that gave no answer.
const (
	daemonGone      = "gone"      // nobody is on the socket, and it gives no sign of life
	daemonSilent    = "silent"    // it took the question and did not answer
	daemonElsewhere = "elsewhere" // it lives, on another socket
)

// freshSign is how young a sign of life must be: a daemon gives five a second.
const freshSign = 2 * time.Second

// orphan is a data plane that no daemon speaks for: what `status` prints then.
type orphan struct {
	At         time.Time        `json:"at"`
	Daemon     string           `json:"daemon"`             // gone, silent or elsewhere
	Error      string           `json:"error"`              // why nobody could be asked
	LastSign   time.Time        `json:"last_sign,omitzero"` // of a daemon
	Forwarding bool             `json:"forwarding"`         // it is attached, and has a virtual IP
	Interfaces []orphanIface    `json:"interfaces"`         // where it is attached
	VIPs       []orphanVIP      `json:"vips"`               // that it has
	Directors  []orphanDirector `json:"directors"`          // with their last choice
}

type orphanIface struct {
	Name    string           `json:"name"`
	Applied model.AttachMode `json:"applied"`
}

type orphanVIP struct {
	Addr      netip.Addr `json:"addr"`
	Announced bool       `json:"announced"` // ARP for it is answered
	Directors []string   `json:"directors"`
}

type orphanDirector struct {
	Name     string       `json:"name"`
	Balanced bool         `json:"balanced,omitempty"`
	Servers  []string     `json:"servers"` // that get its packets
	Addr     netip.Addr   `json:"addr,omitzero"`
	Hold     bool         `json:"hold,omitempty"` // a switch was under way: its packets are dropped
	Epoch    uint64       `json:"epoch"`
	Reason   model.Reason `json:"reason"`
	Since    time.Time    `json:"since"`
}

// orphanOf is what somebody saw in the kernel, in order.
func orphanOf(s dataplane.Seen, asking error, now time.Time) orphan {
	o := orphan{At: now, Daemon: daemonGone, Error: asking.Error(), Interfaces: []orphanIface{}, VIPs: []orphanVIP{}, Directors: []orphanDirector{}}
	if s.Beaten {
		o.LastSign = now.Add(-s.Silence)
	}
	switch {
	case !errors.Is(asking, api.ErrNotRunning):
		o.Daemon = daemonSilent
	case o.alive():
		o.Daemon = daemonElsewhere
	}
	for _, name := range slices.Sorted(maps.Keys(s.Applied.Ifaces)) {
		o.Interfaces = append(o.Interfaces, orphanIface{Name: name, Applied: s.Applied.Ifaces[name].Mode})
	}
	for _, addr := range slices.SortedFunc(maps.Keys(s.Targets), netip.Addr.Compare) {
		o.VIPs = append(o.VIPs, orphanVIP{Addr: addr, Announced: s.Applied.VIPs[addr].Announce, Directors: s.Targets[addr]})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Applied.Directors)) {
		o.Directors = append(o.Directors, orphanDirectorOf(name, s.Applied.Directors[name]))
	}
	o.Forwarding = len(o.Interfaces) > 0 && len(o.VIPs) > 0
	return o
}

func orphanDirectorOf(name string, a model.Adopted) orphanDirector {
	d := orphanDirector{Name: name, Balanced: a.Servers != nil, Servers: []string{}, Addr: a.Addr, Hold: a.Hold, Epoch: a.Epoch, Reason: a.Reason, Since: a.Since}
	if a.Active != "" {
		d.Servers = append(d.Servers, a.Active)
	}
	d.Servers = append(d.Servers, slices.Sorted(maps.Keys(a.Servers))...)
	return d
}

// unseen says why nobody knows what the data plane does.
func unseen(err error, dir string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no data plane is found in " + dir + " either: as far as can be seen nothing is forwarded (see --pin-dir)"
	case errors.Is(err, os.ErrPermission):
		return "run this as root to see whether the data plane still forwards"
	case errors.Is(err, dataplane.ErrOtherLayout):
		return "a data plane is pinned in " + dir + ", which goes on by its last choice, but another version of fairlead made it: this one cannot read it"
	}
	return "what the data plane does is not known: " + err.Error()
}

func printOrphan(w io.Writer, o orphan, colour bool) error {
	p := &page{colour: colour}
	p.orphan(o)
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("print what the data plane does: %w", err)
	}
	return nil
}

func (p *page) orphan(o orphan) {
	p.line("%s", p.paint(bold+red, o.headline()))
	p.wrap("  why: ", o.Error)
	p.wrap("  ! ", o.meaning())
	p.wrap("  do:  ", o.remedy())
	p.line("")
	p.line("%s", p.paint(bold, "What the data plane has"))
	for _, v := range o.VIPs {
		arp := "announced"
		if !v.Announced {
			arp = "not announced"
		}
		p.wrap(fmt.Sprintf("  %-15s ", v.Addr), fmt.Sprintf("to director %s, %s", strings.Join(v.Directors, " or "), arp))
	}
	for _, d := range o.Directors {
		p.wrap("  director "+d.Name+": ", d.words(o.At))
	}
	for _, i := range o.Interfaces {
		p.wrap("  interface "+i.Name+": ", "attached, "+i.Applied.String())
	}
	if len(o.Interfaces) == 0 {
		p.line("  It is attached to no interface.")
	}
}

// alive tells whether some daemon gave a sign of life just now.
func (o orphan) alive() bool { return !o.LastSign.IsZero() && o.At.Sub(o.LastSign) < freshSign }

func (o orphan) headline() string {
	what := map[string]string{daemonGone: "THE DAEMON IS GONE", daemonSilent: "THE DAEMON DOES NOT ANSWER"}[o.Daemon]
	switch {
	case o.Daemon == daemonElsewhere:
		return "THE DAEMON LIVES, BUT DOES NOT ANSWER HERE"
	case o.LastSign.IsZero():
		return what + "; since when is not known"
	case o.alive():
		return what + ", but gives signs of life"
	}
	return fmt.Sprintf("%s since about %s (%s)", what, o.LastSign.UTC().Format("2006-01-02 15:04:05 MST"), ago(o.At.Sub(o.LastSign)))
}

// meaning says what goes on, and what does not.
func (o orphan) meaning() string {
	forwards := "The data plane goes on forwarding to the servers that it has."
	if !o.Forwarding {
		forwards = "The data plane forwards nothing: it is attached to no interface, or has no virtual IP."
	}
	if o.Daemon != daemonGone && o.alive() {
		return forwards + " What the daemon does meanwhile is not known."
	}
	return forwards + " Nobody checks the servers, and nobody switches when one dies."
}

func (o orphan) remedy() string {
	switch o.Daemon {
	case daemonElsewhere:
		return "name the socket that it was started with: --socket PATH."
	case daemonSilent:
		return "look at the daemon's log, then end it and start it again. It takes over what is there, and no packet is lost."
	}
	return "start the daemon again as it was started, with fairlead run. It takes over what is there, and no packet is lost."
}

func (d orphanDirector) words(now time.Time) string {
	text := strings.Join(d.Servers, ", ")
	switch {
	case d.Hold:
		text = "on hold: a switch was under way, and its packets are dropped until a daemon ends it"
	case d.Balanced:
		text += " share the connections"
	case text == "":
		text = "no server: its packets are dropped"
	case d.Addr.IsValid():
		text += fmt.Sprintf(" (%s) is active", d.Addr)
	default:
		text += " is active"
	}
	return fmt.Sprintf("%s; epoch %d since %s (%s), reason: %s", text, d.Epoch,
		d.Since.UTC().Format("2006-01-02 15:04:05 MST"), ago(now.Sub(d.Since)), d.Reason)
}
