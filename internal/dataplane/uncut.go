package dataplane

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"

	"fairlead/internal/model"
)

// uncut tells where mode tunnel cannot do its work: in generic mode the frames of a
// virtual interface may be longer than any cable takes, as their sender leaves it to its
// device to cut them, and XDP sees no segments that it could wrap. tc does.
func (p *Plane) uncut(want model.Desired) error {
	if !slices.ContainsFunc(want.Directors, func(d model.DesiredDirector) bool { return d.Mode == model.ModeTunnel }) {
		return nil
	}
	var errs []error
	for index, a := range p.links {
		if a.mode != model.AttachGeneric {
			continue
		}
		if nl, err := netlink.LinkByIndex(index); err == nil && nl.Type() != "device" {
			errs = append(errs, fmt.Errorf("mode tunnel on %s: in generic mode, large frames of a %s interface do not get into a tunnel: run with --attach tcx (Linux 6.6 or later)",
				nl.Attrs().Name, nl.Type()))
		}
	}
	return errors.Join(errs...)
}
