package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fairlead/internal/config"
)

// sourceFlags name the configuration.
type sourceFlags struct {
	File []string `short:"f" required:"" sep:"none" placeholder:"PATH" help:"Configuration: a file, a directory (its *.cfg files in lexical order), or - for standard input. May be repeated; all together are one configuration."`
}

// maxSource is more than any configuration needs, and keeps a wrong path (a
// disk image, a device) from filling the memory.
const maxSource = 4 << 20

// readSources reads the configuration that the paths name.
func readSources(paths []string, stdin io.Reader) ([]config.Source, error) {
	var all []config.Source
	for _, path := range paths {
		if path == "-" {
			text, err := readAtMost(stdin)
			if err != nil {
				return nil, fmt.Errorf("read the configuration from standard input: %w", err)
			}
			all = append(all, config.Source{Name: "standard input", Text: text})
			continue
		}
		files, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			text, err := readFile(name)
			if err != nil {
				return nil, err
			}
			all = append(all, config.Source{Name: name, Text: text})
		}
	}
	return all, once(all)
}

// once refuses a source that is named twice: its findings could not be told apart.
func once(all []config.Source) error {
	seen := make(map[string]bool)
	for _, s := range all {
		if seen[s.Name] {
			return fmt.Errorf("read the configuration: %s is named twice", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}

// expand lists the files that a path means.
func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", unwrapPath(err, path))
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", unwrapPath(err, path))
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".cfg") && !e.IsDir() {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read the configuration: the directory %s has no file whose name ends in .cfg", path)
	}
	slices.Sort(files)
	return files, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", unwrapPath(err, name))
	}
	text, err := readAtMost(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", unwrapPath(err, name))
	}
	return text, nil
}

func readAtMost(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSource+1))
	if err == nil && len(text) > maxSource {
		err = fmt.Errorf("it is longer than %d MiB: not a configuration", maxSource>>20)
	}
	return text, err
}

// unwrapPath says "PATH: cause" without the name of the system call.
func unwrapPath(err error, path string) error {
	var cause *os.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// replaceFile gives a file a new content: all of it or nothing. It keeps the
// mode and the owner, and writes to where a symbolic link leads.
func replaceFile(name string, content []byte) error {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("replace the file: %w", unwrapPath(err, name))
	}
	fresh, err := writeBeside(real, content)
	if err == nil {
		err = os.Rename(fresh, real)
	}
	if err != nil {
		if fresh != "" {
			err = errors.Join(err, os.Remove(fresh))
		}
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

// writeBeside writes the content to a new file of the same directory, mode and
// owner, and returns its name.
func writeBeside(name string, content []byte) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	err = errors.Join(err, keepOwner(f, info), f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	return f.Name(), err
}
