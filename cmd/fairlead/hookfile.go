package main

import (
	"fairlead/internal/probe"
	"fairlead/internal/program"
)

// hookTrouble says which programmes this machine cannot run as hooks, and why:
// whoever looks should know before a switch needs them.
func hookTrouble(paths []string) map[string]string {
	trouble := make(map[string]string)
	for _, path := range paths {
		if err := program.Trust(path); err != nil {
			trouble[path] = err.Error()
		}
	}
	return trouble
}

// authoritiesTrouble says which files of authorities checks cannot use, and why.
func authoritiesTrouble(paths []string) map[string]string {
	trouble := make(map[string]string)
	for _, path := range paths {
		if err := probe.Authorities(path); err != nil {
			trouble[path] = err.Error()
		}
	}
	return trouble
}
