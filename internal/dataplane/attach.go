package dataplane

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"fairlead/internal/model"
)

// attachment is the programme on one interface, pinned.
type attachment struct {
	link link.Link
	mode model.AttachMode
	why  string
	pin  string
}

// The pin's name tells mode and interface index: bpffs allows no dot in a name,
// interface names do.
func linkPin(dir string, mode model.AttachMode, ifindex int) string {
	return filepath.Join(dir, fmt.Sprintf("link-%s-%d", mode, ifindex))
}

func parseLinkPin(path string) (mode model.AttachMode, ifindex int, err error) {
	parts := strings.Split(filepath.Base(path), "-")
	if len(parts) != 3 {
		return 0, 0, fmt.Errorf("the pin %s is not one of ours", path)
	}
	if err := mode.UnmarshalText([]byte(parts[1])); err != nil {
		return 0, 0, err
	}
	ifindex, err = strconv.Atoi(parts[2])
	return mode, ifindex, err
}

// adoptLinks finds the pinned links and puts this programme behind each, in one
// step each: no packet is missed.
func (p *Plane) adoptLinks() error {
	for _, pin := range linkPins(layoutDir(p.options.Dir)) {
		if err := p.adoptLink(pin); err != nil {
			return err
		}
	}
	return nil
}

// takeOver finds the attachments of an older layout, whose maps this programme
// cannot read, and puts this programme behind them: after an upgrade the old one
// must not go on by its old choice. It comes after the settings, so that no packet
// meets an empty programme.
func (p *Plane) takeOver() error {
	if p.options.Dir == "" {
		return nil // nothing is pinned
	}
	for _, l := range otherLayouts(p.options.Dir) {
		for _, old := range linkPins(l) {
			pin := filepath.Join(layoutDir(p.options.Dir), filepath.Base(old))
			if err := os.Rename(old, pin); err != nil {
				return fmt.Errorf("take over the attachment of an older version: %w", err)
			}
			if err := p.adoptLink(pin); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(l); err != nil {
			return fmt.Errorf("remove the pins of an older version: %w", err)
		}
	}
	return nil
}

func (p *Plane) adoptLink(pin string) error {
	mode, ifindex, err := parseLinkPin(pin)
	if err != nil {
		return err
	}
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return fmt.Errorf("adopt the attachment %s: %w", pin, err)
	}
	a := &attachment{link: l, mode: mode, pin: pin, why: "adopted from an earlier run"}
	gone, err := net.InterfaceByIndex(ifindex)
	differs := p.options.Attach != model.AttachAuto && p.options.Attach != mode
	if gone == nil || err != nil || differs {
		return a.remove()
	}
	if err := l.Update(p.programs.of(mode)); err != nil {
		return errors.Join(fmt.Errorf("replace the programme on %s: %w", gone.Name, err), l.Close())
	}
	p.links[ifindex] = a
	return nil
}

func (a *attachment) remove() error {
	return errors.Join(os.Remove(a.pin), a.link.Close())
}

func (g programs) of(mode model.AttachMode) *ebpf.Program {
	if mode == model.AttachTCX {
		return g.tc
	}
	return g.xdp
}

// reconcileLinks attaches what is wanted and not there, and detaches the rest.
func (p *Plane) reconcileLinks(names []string) error {
	var errs []error
	wanted := map[int]bool{}
	for _, name := range names {
		nl, err := netlink.LinkByName(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("attach to %s: no such interface", name))
			continue
		}
		index := nl.Attrs().Index
		wanted[index] = true
		if p.links[index] != nil {
			continue
		}
		a, err := p.attach(nl)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.links[index] = a
	}
	for index, a := range p.links {
		if !wanted[index] {
			errs = append(errs, a.remove())
			delete(p.links, index)
		}
	}
	return errors.Join(errs...)
}

// attach tries the modes that suit the interface, the best first.
func (p *Plane) attach(nl netlink.Link) (*attachment, error) {
	name, index := nl.Attrs().Name, nl.Attrs().Index
	var errs []error
	for _, try := range suitableModes(p.options.Attach, nl.Type()) {
		l, err := p.programs.attachAs(try.mode, index)
		if err != nil {
			errs = append(errs, fmt.Errorf("attach to %s as %s: %w", name, try.mode, err))
			continue
		}
		a := &attachment{link: l, mode: try.mode, why: try.why, pin: linkPin(layoutDir(p.options.Dir), try.mode, index)}
		if len(errs) > 0 {
			a.why += " (" + errors.Join(errs...).Error() + ")"
		}
		if err := l.Pin(a.pin); err != nil {
			return nil, errors.Join(fmt.Errorf("pin the attachment to %s: %w", name, err), l.Close())
		}
		return a, nil
	}
	return nil, errors.Join(errs...)
}

type suitable struct {
	mode model.AttachMode
	why  string
}

// suitableModes says which modes to try on an interface of that kind, as
// rtnetlink names it; "device" is one with a driver of its own.
func suitableModes(want model.AttachMode, kind string) []suitable {
	if want != model.AttachAuto {
		return []suitable{{want, "asked for"}}
	}
	if kind == "device" {
		return []suitable{
			{model.AttachNative, "the driver runs XDP"},
			{model.AttachGeneric, "the driver does not run XDP"},
		}
	}
	return []suitable{
		{model.AttachTCX, "a " + kind + " interface: keeps large GSO frames whole"},
		{model.AttachGeneric, "a " + kind + " interface, on a kernel before 6.6"},
	}
}

func (g programs) attachAs(mode model.AttachMode, index int) (link.Link, error) {
	switch mode {
	case model.AttachTCX:
		return link.AttachTCX(link.TCXOptions{Program: g.tc, Interface: index, Attach: ebpf.AttachTCXIngress})
	case model.AttachGeneric:
		return link.AttachXDP(link.XDPOptions{Program: g.xdp, Interface: index, Flags: link.XDPGenericMode})
	default:
		return link.AttachXDP(link.XDPOptions{Program: g.xdp, Interface: index, Flags: link.XDPDriverMode})
	}
}
