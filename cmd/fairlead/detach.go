package main

import (
	"fairlead/internal/dataplane"
	"fairlead/internal/viproute"
)

// defaultPins is the directory where the data plane is pinned.
const defaultPins = dataplane.DefaultDir

// pinFlag says where the data plane is pinned.
type pinFlag struct {
	PinDir string `placeholder:"DIR" default:"${pins}" help:"Directory in which the data plane is pinned (default ${default})."`
}

type detachCommand struct {
	pinFlag
}

func (c *detachCommand) Run(env *surroundings) error {
	if err := env.needRoot("detach"); err != nil {
		return err
	}
	// The data plane refuses while a daemon runs, whose routes they are.
	if err := dataplane.Detach(c.PinDir); err != nil {
		return err
	}
	return viproute.Remove()
}
