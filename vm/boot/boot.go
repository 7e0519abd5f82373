// Package boot starts a virtual machine with the present sources in it: it makes
// the image, builds the programmes, and puts both and a site's own files together.
//
// It does not know what a site is for. The guest's first programme sources the
// site's /site.sh.
package boot

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"fairlead/vm/image"
	"fairlead/vm/machine"
)

//go:embed init
var first []byte

// Plan is what is booted.
type Plan struct {
	Cache    string            // a directory for what can be used again
	Dir      string            // an existing directory for this run
	Files    map[string][]byte // of the guest, by path; site.sh is among them
	Programs map[string]string // to be built: the guest's /bin/NAME by package
	Memory   int               // in MiB
	CPUs     int
	Counted  bool // see machine.Options
	Progress func(string)
}

// Start boots it, and tells the release of its kernel.
func Start(ctx context.Context, p Plan) (m *machine.Machine, release string, err error) {
	files := map[string][]byte{"init": first}
	for name, text := range p.Files {
		files[name] = text
	}
	for name, source := range p.Programs {
		if files["bin/"+name], err = build(ctx, source, filepath.Join(p.Dir, name)); err != nil {
			return nil, "", err
		}
	}
	made, err := image.Build(ctx, p.Cache, p.Progress)
	if err != nil {
		return nil, "", err
	}
	initrd := filepath.Join(p.Dir, "initrd.cpio")
	if err := concatenate(initrd, made.Initrd, files); err != nil {
		return nil, "", fmt.Errorf("make the guest's first file system: %w", err)
	}
	p.Progress("starting a machine with kernel " + made.Release)
	m, err = machine.Start(ctx, machine.Options{
		Kernel: made.Kernel, Initrd: initrd, Disk: made.Disk, Memory: p.Memory, CPUs: p.CPUs, Counted: p.Counted, Dir: p.Dir,
	})
	return m, made.Release, err
}

// build makes a programme that needs no library of the guest.
func build(ctx context.Context, source, name string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", name, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	return os.ReadFile(name)
}

// Add adds the files of a directory, but not its directories, below a prefix.
func Add(files map[string][]byte, from fs.FS, dir, prefix string) error {
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		text, err := fs.ReadFile(from, dir+"/"+e.Name())
		if err != nil {
			return fmt.Errorf("read %s: %w", e.Name(), err)
		}
		files[prefix+e.Name()] = text
	}
	return nil
}

// concatenate writes an archive of files behind another archive.
func concatenate(name, first string, files map[string][]byte) (err error) {
	base, err := os.Open(first)
	if err != nil {
		return err
	}
	defer base.Close()
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var more bytes.Buffer
	if err := image.Overlay(&more, files); err != nil {
		return err
	}
	_, err = io.Copy(f, io.MultiReader(base, &more))
	return err
}
