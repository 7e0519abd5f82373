package main

import "fairlead/internal/program"

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
