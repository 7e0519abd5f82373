package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt downloads packages with the machine's sources and keys, and with state of its
// own: what is installed here, and who may run apt, makes no difference.
type apt struct{ dir string }

// options make apt-get resolve against a system without any package.
func (a apt) options() []string {
	set := func(name, value string) string { return "-o" + name + "=" + value }
	return []string{
		"-qq",
		set("Dir::State", filepath.Join(a.dir, "state")),
		set("Dir::State::status", filepath.Join(a.dir, "status")),
		set("Dir::Cache", filepath.Join(a.dir, "cache")),
		set("Debug::NoLocking", "1"),
		set("APT::Sandbox::User", ""), // the one who calls writes the files
		set("APT::Install-Recommends", "0"),
		set("Acquire::Languages", "none"),
		set("Acquire::Retries", "3"),
	}
}

// prepare reads the package lists.
func (a apt) prepare(ctx context.Context) error {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return fmt.Errorf("make apt's directory: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(a.dir, "status"), nil, 0o644); err != nil {
		return fmt.Errorf("write an empty list of installed packages: %w", err)
	}
	_, err := run(ctx, a.dir, "apt-get", append(a.options(), "update")...)
	return err
}

// withDependencies downloads packages and all that they depend on.
func (a apt) withDependencies(ctx context.Context, names []string) ([]string, error) {
	args := append(a.options(), "--yes", "--download-only", "install")
	if _, err := run(ctx, a.dir, "apt-get", append(args, names...)...); err != nil {
		return nil, err
	}
	return archives(filepath.Join(a.dir, "cache/archives"))
}

// kernel downloads the package of the kernel alone: its dependencies would make
// an initial file system of their own.
func (a apt) kernel(ctx context.Context) ([]string, error) {
	text, err := run(ctx, a.dir, "apt-cache", append(a.options(), "depends", kernelPackage)...)
	if err != nil {
		return nil, err
	}
	name, err := firstDependency(text)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(a.dir, "kernel")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory for the kernel: %w", err)
	}
	if _, err := run(ctx, dir, "apt-get", append(a.options(), "download", name)...); err != nil {
		return nil, err
	}
	return archives(dir)
}

// firstDependency reads the output of apt-cache depends.
func firstDependency(text string) (string, error) {
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("find the kernel: the package %s depends on none", kernelPackage)
}

func archives(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err == nil && len(found) == 0 {
		err = errors.New("no package")
	}
	if err != nil {
		return nil, fmt.Errorf("look for packages in %s: %w", dir, err)
	}
	return found, nil
}

// unpack unpacks packages into one directory.
func unpack(ctx context.Context, debs []string, dir string) error {
	for _, deb := range debs {
		if _, err := run(ctx, "", "dpkg-deb", "--extract", deb, dir); err != nil {
			return err
		}
	}
	return nil
}

// run runs a programme of the machine. Its error has the programme's own words.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run %s: %w\n%s", name, err, strings.TrimSpace(words.String()))
	}
	return out.String(), nil
}
