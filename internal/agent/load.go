package agent

import (
	"fmt"

	"fairlead/internal/api"
	"fairlead/internal/config"
	"fairlead/internal/model"
)

// Loader reads and checks the configuration, also against this machine.
type Loader struct {
	Read  func() ([]config.Source, error)
	Links func() ([]model.Link, error) // of this machine, at the moment
	// Hooks says which programmes this machine cannot run as hooks, and why;
	// nil: they are not looked at.
	Hooks func(paths []string) map[string]string
}

// Loaded is a configuration that may be used.
type Loaded struct {
	Config   model.Config
	Warnings []api.Diagnostic
	Links    []model.Link // that it was checked against
}

// Load returns the configuration, or an error that is a *api.Error with all
// findings when they are the cause.
func (l Loader) Load() (Loaded, error) {
	sources, err := l.Read()
	if err != nil {
		return Loaded{}, err
	}
	links, err := l.Links()
	if err != nil {
		return Loaded{}, fmt.Errorf("check the configuration against this machine: %w", err)
	}
	file, found := config.Parse(sources)
	checked, more := config.Check(file)
	found = append(found, more...)
	if !config.Failed(found) {
		found = append(found, config.CheckHost(checked, file, links)...)
	}
	if l.Hooks != nil && !config.Failed(found) {
		found = append(found, config.CheckHooks(file, l.Hooks(config.Hooks(checked)))...)
	}
	diagnostics := api.Diagnostics(sources, found)
	if config.Failed(found) {
		return Loaded{}, &api.Error{Message: "the configuration has errors", Diagnostics: diagnostics}
	}
	return Loaded{Config: checked, Warnings: diagnostics, Links: links}, nil
}
