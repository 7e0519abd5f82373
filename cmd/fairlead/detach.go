package main

import "fairlead/internal/dataplane"

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
	return dataplane.Detach(c.PinDir)
}
