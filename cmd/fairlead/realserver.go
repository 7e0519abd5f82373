package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"fairlead/internal/realserver"
)

// realserverCommand is for the real servers, not for the director.
type realserverCommand struct {
	Setup realserverSetupCommand `cmd:"" help:"Make this machine take packets for virtual IPs, and be silent about them."`
	Check realserverCheckCommand `cmd:"" help:"Say what is right and what is wrong, why it bites, and what mends it."`
	Undo  realserverUndoCommand  `cmd:"" help:"Restore exactly what was before the set-up."`
}

// machineFlags say which machine it is.
type machineFlags struct {
	VIP      []string `name:"vip" placeholder:"ADDR" help:"A virtual IP. May be repeated; without one, those that were set up before."`
	Root     string   `placeholder:"DIR" help:"Prepare the image of a system in this directory: only files, nothing that runs."`
	StateDir string   `placeholder:"DIR" default:"${state}" help:"Directory for the record of what was before, below the root (default ${default})."`
	JSON     bool     `name:"json" help:"Print JSON."`
}

// changeFlags are those of the commands that change the machine.
type changeFlags struct {
	machineFlags
	DryRun bool `help:"Only show what would change."`
}

type (
	realserverSetupCommand struct {
		changeFlags
		Dev      string `placeholder:"IFACE" default:"lo" help:"The interface that gets the virtual IPs: the loopback, or a dummy (default ${default})."`
		Persist  bool   `help:"Keep it at boot, in the way of this distribution."`
		Manager  string `enum:"auto,networkd,ifupdown,unit" default:"auto" help:"What gives addresses at boot: networkd, ifupdown, a unit of systemd, or auto: what is in use. Implies --persist."`
		NFSPorts bool   `name:"nfs-ports" help:"Give mountd, statd, lockd and rquotad fixed ports."`
	}
	realserverCheckCommand struct {
		machineFlags
		Client []string `placeholder:"ADDR" help:"Also follow the way back to this client. May be repeated."`
	}
	realserverUndoCommand struct {
		changeFlags
		Forget bool `help:"Also forget what somebody changed since. It stays as it is; what was before is lost."`
	}
)

// readAddrs reads the values of a flag.
func readAddrs(flag string, texts []string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, unable{fmt.Errorf("--%s %q is no IP address: write it without a network, for example --%s 192.168.10.50", flag, text, flag)}
		}
		all = append(all, a)
	}
	return all, nil
}

func (f *machineFlags) open(read bool) (*realserver.Server, error) {
	o := realserver.Options{Root: "/", StateDir: f.StateDir, Read: read}
	if f.Root != "" {
		o.Root, o.Image = f.Root, true
	}
	s, err := realserver.Open(o)
	if err != nil {
		return nil, unable{err}
	}
	return s, nil
}

func (c *realserverSetupCommand) Run(env *surroundings) error {
	r := realserver.Request{Dev: c.Dev, Persist: c.Persist || c.Manager != "auto", NFSPorts: c.NFSPorts}
	if c.Manager != "auto" {
		r.Manager = realserver.Manager(c.Manager)
	}
	return c.change(env, "setup", func(s *realserver.Server, vips []netip.Addr) (realserver.Plan, error) {
		r.VIPs = vips
		return s.PlanSetup(r)
	})
}

func (c *realserverUndoCommand) Run(env *surroundings) error {
	return c.change(env, "undo", func(s *realserver.Server, vips []netip.Addr) (realserver.Plan, error) {
		p, err := s.PlanUndo(vips)
		if c.Forget {
			p.Forget()
		}
		return p, err
	})
}

// change makes a plan, shows it, and carries it out.
func (c *changeFlags) change(env *surroundings, what string, plan func(*realserver.Server, []netip.Addr) (realserver.Plan, error)) (err error) {
	if err := env.needRoot("realserver " + what); err != nil {
		return err
	}
	vips, err := readAddrs("vip", c.VIP)
	if err != nil {
		return err
	}
	s, err := c.open(c.DryRun)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p, err := plan(s, vips)
	if err != nil {
		return unable{err}
	}
	if !c.JSON {
		printPlan(env.out, p)
	}
	if !c.DryRun {
		if err := s.Apply(p); err != nil {
			return err
		}
	}
	if c.JSON {
		err = printJSON(env.out, changesOf(p, !c.DryRun))
	} else {
		err = c.summary(env.out, p)
	}
	if err == nil && len(p.Left) > 0 {
		err = silent{errors.New("something was changed since, and is left alone")}
	}
	return err
}

// machineChanges is what setup and undo print as JSON.
type machineChanges struct {
	Done    bool            `json:"done"` // false: it was a dry run
	Changes []machineChange `json:"changes"`
	Left    []machineChange `json:"left"` // what would be restored to what, but somebody changed it since
	Notes   []string        `json:"notes"`
}

// machineChange is one thing; null is one that is not there.
type machineChange struct {
	realserver.Key
	From *string `json:"from"`
	To   *string `json:"to"`
	Why  string  `json:"why,omitempty"`
}

func changesOf(p realserver.Plan, done bool) machineChanges {
	text := func(v realserver.Value) *string {
		if !v.There {
			return nil
		}
		return &v.Text
	}
	m := machineChanges{Done: done, Changes: []machineChange{}, Left: []machineChange{}, Notes: []string{}}
	for _, o := range p.Ops {
		m.Changes = append(m.Changes, machineChange{o.Key, text(o.From), text(o.To), o.Why})
	}
	for _, l := range p.Left {
		m.Left = append(m.Left, machineChange{l.Key, text(l.Now), text(l.Before), ""})
	}
	m.Notes = append(m.Notes, p.Notes...)
	return m
}

// printPlan shows each step, with the lines of files that change.
func printPlan(w io.Writer, p realserver.Plan) {
	for _, o := range p.Ops {
		switch {
		case o.Key.Kind == realserver.Setting || o.Key.Kind == realserver.Interface:
			fmt.Fprintf(w, "%s: %s → %s\n", o.Key, o.From.Text, o.To.Text)
		case !o.To.There:
			fmt.Fprintf(w, "%s: removed\n", o.Key)
		case !o.From.There:
			fmt.Fprintf(w, "%s: added\n", o.Key)
		default:
			fmt.Fprintf(w, "%s: changed\n", o.Key)
		}
		fmt.Fprintf(w, "    %s\n", o.Why)
		if o.Key.Kind == realserver.File {
			printLines(w, o)
		}
	}
	for _, l := range p.Left {
		fmt.Fprintf(w, "%s: left alone\n    somebody changed it since the set-up. %s\n", l.Key, former(l.Before))
	}
}

// former says what was there before, as far as that takes no page.
func former(v realserver.Value) string {
	switch {
	case !v.There:
		return "Before that it was not there"
	case strings.Contains(v.Text, "\n"):
		return "What was there before is in the record"
	}
	return fmt.Sprintf("Before that it was %q", v.Text)
}

func printLines(w io.Writer, o realserver.Op) {
	diff, err := udiff.ToUnifiedDiff("", "", o.From.Text, udiff.Lines(o.From.Text, o.To.Text), 1)
	if err != nil {
		return // the step was named already
	}
	for _, h := range diff.Hunks {
		for _, l := range h.Lines {
			mark := map[udiff.OpKind]string{udiff.Insert: "+", udiff.Delete: "-"}[l.Kind]
			fmt.Fprintf(w, "    %-1s %s\n", mark, strings.TrimRight(l.Content, "\r\n"))
		}
	}
}

// summary says what was done, and what is left to do.
func (c *changeFlags) summary(w io.Writer, p realserver.Plan) error {
	for _, n := range p.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	text := "nothing to change"
	switch n := len(p.Ops); {
	case n > 0 && c.DryRun:
		text = count(n, "change") + " to make; nothing was changed"
	case n > 0:
		text = count(n, "change") + " made"
	}
	if n := len(p.Left); n > 0 {
		text += fmt.Sprintf("; %s left alone, see above", count(n, "thing"))
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// machineCheck is what check prints as JSON.
type machineCheck struct {
	OK       bool                 `json:"ok"` // nothing is wrong
	Findings []realserver.Finding `json:"findings"`
}

func (c *realserverCheckCommand) Run(env *surroundings) (err error) {
	vips, err := readAddrs("vip", c.VIP)
	if err != nil {
		return err
	}
	clients, err := readAddrs("client", c.Client)
	if err != nil {
		return err
	}
	s, err := c.open(true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	found, err := s.Check(vips, clients)
	if err != nil {
		return unable{err}
	}
	states := map[realserver.State]int{}
	for _, f := range found {
		states[f.State]++
	}
	wrong := states[realserver.Wrong]
	if c.JSON {
		err = printJSON(env.out, machineCheck{OK: wrong == 0, Findings: found})
	} else {
		err = printMachineCheck(env.out, found, states)
	}
	if err == nil && wrong > 0 {
		err = silent{errors.New("something is wrong")}
	}
	return err
}

// printMachineCheck prints what is wrong first.
func printMachineCheck(w io.Writer, found []realserver.Finding, states map[realserver.State]int) error {
	for _, state := range []realserver.State{realserver.Wrong, realserver.Warning, realserver.Right} {
		for _, f := range found {
			if f.State != state {
				continue
			}
			fmt.Fprintf(w, "%-7s  %s\n", f.State, f.What)
			if f.Why != "" {
				fmt.Fprintf(w, "         why: %s\n         do:  %s\n", f.Why, f.Do)
			}
		}
	}
	_, err := fmt.Fprintf(w, "%d wrong, %s, %d right\n", states[realserver.Wrong], count(states[realserver.Warning], "warning"), states[realserver.Right])
	return err
}
