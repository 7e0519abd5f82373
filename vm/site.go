// Package vm measures what applications on the Linux kernel's own NFS client see
// of a failover and a failback: through Fairlead, and through keepalived with the
// kernel's IPVS, in the same small virtual machine and the same run. It says
// whether Fairlead keeps its word.
//
// It is a test and no part of the product. What the machine boots is made by
// package image, package machine runs it, and guest holds what runs inside.
package vm

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"fairlead/examples"
	"fairlead/vm/image"
	"fairlead/vm/machine"
)

//go:embed guest
var guest embed.FS

// site is the virtual machine with everything that a failover needs.
type site struct {
	*machine.Machine
	Release string // of the guest's kernel
	jobs    []job  // the applications that run
	delays  int    // of calls on the v3 mount, as read last
}

// options of a site.
type options struct {
	cache    string // a directory for what can be used again
	dir      string // a directory for this run
	fairlead string // the programme to test; "": build it
	progress func(string)
}

// commandTime is what a command in the guest may take, unless it waits for something.
const commandTime = 60 * time.Second

// open boots a machine and builds the site in it.
func open(ctx context.Context, o options) (*site, error) {
	files, err := overlay(ctx, o)
	if err != nil {
		return nil, err
	}
	made, err := image.Build(ctx, o.cache, o.progress)
	if err != nil {
		return nil, err
	}
	initrd := filepath.Join(o.dir, "initrd.cpio")
	if err := concatenate(initrd, made.Initrd, files); err != nil {
		return nil, fmt.Errorf("make the guest's first file system: %w", err)
	}
	o.progress("starting a machine with kernel " + made.Release)
	m, err := machine.Start(ctx, machine.Options{
		Kernel: made.Kernel, Initrd: initrd, Disk: made.Disk, Memory: 640, CPUs: 2, Dir: o.dir,
	})
	if err != nil {
		return nil, err
	}
	s := &site{Machine: m, Release: made.Release}
	for _, command := range []string{"segment", "storage", "server nfs-01", "server nfs-02", "serving nfs-01", "serving nfs-02"} {
		if _, err := s.run(ctx, "%s", command); err != nil {
			return nil, errors.Join(err, errors.New(m.Logs(40)), m.Close())
		}
	}
	return s, nil
}

// overlay is what a change of the sources changes in the guest.
func overlay(ctx context.Context, o options) (map[string][]byte, error) {
	files := map[string][]byte{}
	programs := map[string]string{"probe": "fairlead/vm/probe", "fairlead": "fairlead/cmd/fairlead"}
	if o.fairlead != "" {
		delete(programs, "fairlead")
		text, err := os.ReadFile(o.fairlead)
		if err != nil {
			return nil, fmt.Errorf("read the programme to test: %w", err)
		}
		files["bin/fairlead"] = text
	}
	for name, source := range programs {
		text, err := build(ctx, source, filepath.Join(o.dir, name))
		if err != nil {
			return nil, err
		}
		files["bin/"+name] = text
	}
	err := errors.Join(
		addFiles(files, guest, "guest", ""),
		addFiles(files, examples.NFSHighAvailability, "nfs-ha", "etc/fairlead/"))
	files["etc/fairlead/l4.cfg"] = append(files["etc/fairlead/l4.cfg"], promoteHook...)
	return files, err
}

// promoteHook is what the guest's configuration has beside the application note's
// lines. See guest/promote for why.
const promoteHook = "hook promote /promote\n"

// build makes a programme that needs no library of the guest.
func build(ctx context.Context, source, name string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", name, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	return os.ReadFile(name)
}

// addFiles adds the files of a directory below a prefix.
func addFiles(files map[string][]byte, from fs.FS, dir, prefix string) error {
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, e := range entries {
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

// run runs a command in the guest.
func (s *site) run(ctx context.Context, format string, args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	return s.Run(ctx, fmt.Sprintf(format, args...))
}

// instants are those before and after a command; see probe at.
type instants struct {
	Before int64 `json:"before_ns"`
	After  int64 `json:"after_ns"`
}

// at runs a command in the guest and returns the guest's instants around it.
func (s *site) at(ctx context.Context, format string, args ...any) (i instants, err error) {
	out, err := s.run(ctx, "probe at bash -c '%s'", fmt.Sprintf(format, args...))
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal([]byte(out[strings.LastIndex(out, "{"):]), &i); err != nil {
		return i, fmt.Errorf("read the instants of a command from %q: %w", out, err)
	}
	return i, nil
}

// await asks every half second until done says true, or an error.
func await(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %v", limit))
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		case <-time.After(500 * time.Millisecond):
		}
	}
}
