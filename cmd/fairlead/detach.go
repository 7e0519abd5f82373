package main

import (
	"errors"
	"net/netip"
	"path/filepath"

	"fairlead/internal/announce"
	"fairlead/internal/dataplane"
	"fairlead/internal/viproute"
)

// defaultPins is the directory where the data plane is pinned.
const defaultPins = dataplane.DefaultDir

// pinFlag says where the data plane is pinned.
type pinFlag struct {
	PinDir string `placeholder:"DIR" default:"${pins}" help:"Directory in which the data plane is pinned (default ${default})."`
}

// owner names the daemon that pins there.
func (f pinFlag) owner() string {
	dir, err := filepath.Abs(f.PinDir)
	if err != nil {
		return f.PinDir
	}
	return dir
}

type detachCommand struct {
	pinFlag
}

func (c *detachCommand) Run(env *surroundings) error {
	if err := env.needRoot("detach"); err != nil {
		return err
	}
	// What is not to be read has nothing that a frame would come for.
	seen, lookErr := dataplane.Look(c.PinDir)
	// The data plane refuses while a daemon runs, whose routes they are.
	if err := dataplane.Detach(c.PinDir); err != nil {
		return err
	}
	errs := []error{viproute.Remove(c.owner())}
	if lookErr == nil {
		errs = append(errs, forgetVIPs(seen))
	}
	return errors.Join(errs...)
}

// forgetVIPs lets the interfaces pass no more frames for virtual IPs of IPv6.
func forgetVIPs(seen dataplane.Seen) error {
	var six []netip.Addr
	for vip := range seen.Applied.VIPs {
		if vip.Is6() {
			six = append(six, vip)
		}
	}
	var errs []error
	for iface := range seen.Applied.Ifaces {
		errs = append(errs, announce.Forget(iface, six))
	}
	return errors.Join(errs...)
}
