package image

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// addModules adds the kernel's modules and the indices that modprobe reads.
func addModules(ctx context.Context, a *archive, tree, release string) error {
	dir := filepath.Join(tree, "lib/modules", release)
	// depmod of the package, not of this machine: it may have none.
	kmod, err := find(tree, programDirs, "kmod")
	if err != nil {
		return err
	}
	depmod := filepath.Join(tree, "depmod")
	if err := os.Symlink(kmod, depmod); err != nil { // kmod is what its name says
		return fmt.Errorf("name depmod: %w", err)
	}
	if _, err := run(ctx, "", depmod, "-b", tree, release); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return fmt.Errorf("read what modules depend on: %w", err)
	}
	for _, name := range withDependencies(string(text), modules) {
		a.copy(path.Join("lib/modules", release, name), filepath.Join(dir, name))
	}
	indices, err := filepath.Glob(filepath.Join(dir, "modules.*"))
	if err != nil {
		return fmt.Errorf("list the indices of the modules: %w", err)
	}
	for _, name := range indices {
		a.copy(path.Join("lib/modules", release, filepath.Base(name)), name)
	}
	return nil
}

// withDependencies lists the files of modules and of those that they depend on. The
// text is a modules.dep: "FILE: FILE…", where the list is already complete.
func withDependencies(text string, wanted []string) []string {
	lines := map[string]string{}
	for line := range strings.Lines(text) {
		file, needed, _ := strings.Cut(line, ":")
		name, _, _ := strings.Cut(path.Base(file), ".")
		lines[name] = file + " " + needed
	}
	var found []string
	seen := map[string]bool{}
	for _, name := range wanted {
		for _, file := range strings.Fields(lines[name]) {
			if !seen[file] {
				seen[file] = true
				found = append(found, file)
			}
		}
	}
	return found
}
