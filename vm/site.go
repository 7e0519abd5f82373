// Package vm measures what applications on the Linux kernel's own NFS client see
// of a failover and a failback: through Fairlead, and through keepalived with the
// kernel's IPVS, in the same small virtual machine and the same run. It says
// whether Fairlead keeps its word.
//
// It is a test and no part of the product. What the machine boots is made by
// package image, package machine runs it, and guest holds what runs inside.
package vm

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"fairlead/examples"
	"fairlead/vm/boot"
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
	files, programs, err := contents(o)
	if err != nil {
		return nil, err
	}
	m, release, err := boot.Start(ctx, boot.Plan{
		Cache: o.cache, Dir: o.dir, Files: files, Programs: programs, Memory: 640, CPUs: 2, Progress: o.progress,
	})
	if err != nil {
		return nil, err
	}
	s := &site{Machine: m, Release: release}
	for _, command := range []string{"segment", "storage", "server nfs-01", "server nfs-02", "serving nfs-01", "serving nfs-02"} {
		if _, err := s.run(ctx, "%s", command); err != nil {
			return nil, errors.Join(err, errors.New(m.Logs(40)), m.Close())
		}
	}
	return s, nil
}

// contents are the files of the guest, and the programmes that are built for it.
func contents(o options) (files map[string][]byte, programs map[string]string, err error) {
	files = map[string][]byte{}
	programs = map[string]string{"probe": "fairlead/vm/probe", "fairlead": "fairlead/cmd/fairlead"}
	if o.fairlead != "" {
		delete(programs, "fairlead")
		if files["bin/fairlead"], err = os.ReadFile(o.fairlead); err != nil {
			return nil, nil, fmt.Errorf("read the programme to test: %w", err)
		}
	}
	err = errors.Join(
		boot.Add(files, guest, "guest", ""),
		boot.Add(files, examples.NFSHighAvailability, "nfs-ha", "etc/fairlead/"))
	files["etc/fairlead/l4.cfg"] = append(files["etc/fairlead/l4.cfg"], promoteHook...)
	return files, programs, err
}

// promoteHook is what the guest's configuration has beside the application note's
// lines. See guest/promote for why.
const promoteHook = "hook promote /promote\n"

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
