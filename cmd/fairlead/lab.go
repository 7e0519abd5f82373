package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"

	"fairlead/examples"
	"fairlead/internal/dataplane"
	"fairlead/internal/lab"
	"fairlead/internal/lab/crowd"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/visitor"
	"fairlead/internal/nfsd"
)

type labCommand struct {
	Fault       outcome.Fault   `default:"kill" enum:"kill,link,blackhole,novip,hang,planned,failback,double,flap,crash,gone" help:"What happens to the service: one of kill, link, blackhole, novip, hang, planned, failback, double, flap, crash and gone."`
	NFS         outcome.Backend `name:"nfs" default:"embedded" enum:"embedded,ganesha" help:"NFS servers: embedded (this program's own) or ganesha (needs the packages nfs-ganesha, nfs-ganesha-vfs and rpcbind)."`
	Check       outcome.Timing  `default:"note" enum:"note,fast" help:"How often the director checks: note (every 10 seconds, as in the note) or fast (every second)."`
	XDP         string          `name:"xdp" default:"native" enum:"native,generic,tcx" help:"How the director attaches: native, generic or tcx."`
	Mode        outcome.Mode    `default:"gateway" enum:"gateway,tunnel" help:"How the director forwards: gateway, or tunnel, with the servers behind a router."`
	JSON        bool            `name:"json" help:"Print the result as one JSON object."`
	Keep        bool            `help:"Stay up until Ctrl-C, and print how to look around."`
	IPv6        bool            `name:"ipv6" help:"Build the diagram with IPv6 addresses, and no others."`
	Crowd       int             `placeholder:"N" help:"Hold so many idle connections, too, and see that each is reset by the switch."`
	Split       bool            `help:"Send some of the clients' data to both servers, on purpose: the lab must notice and fail."`
	Screenshots string          `placeholder:"DIR" type:"path" help:"Let a browser (Chromium) follow the note's walk-through on the web pages, watch the switch, and keep pictures of all pages in DIR."`
}

func (c *labCommand) Run(ctx context.Context, env *surroundings) error {
	if err := env.needRoot("lab"); err != nil {
		return err
	}
	if err := env.needKernel(); err != nil {
		return err
	}
	options := lab.Options{
		Fault: c.Fault, NFS: c.NFS, Check: c.Check, JSON: c.JSON, Keep: c.Keep, Split: c.Split, Crowd: c.Crowd, Six: c.IPv6, Screenshots: c.Screenshots,
		AttachPass: dataplane.AttachPass, AttachUnwrap: dataplane.AttachUnwrap, Mode: c.Mode,
	}
	if err := options.XDP.UnmarshalText([]byte(c.XDP)); err != nil {
		return unable{err}
	}
	var err error
	if options.Config, err = exampleConfig(); err != nil {
		return err
	}
	result, err := lab.Run(ctx, options, env.out)
	switch {
	case errors.Is(err, lab.ErrNeedsRoot):
		return unable{err}
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return errors.New("the lab was interrupted before its end; it has cleaned up after itself")
	case err != nil:
		return err
	case !result.Passed:
		return silent{errors.New("the lab did not pass")}
	}
	return nil
}

// exampleConfig is the configuration of the example: file name to text.
func exampleConfig() (map[string]string, error) {
	names, err := fs.Glob(examples.NFSHighAvailability, "nfs-ha/*.cfg")
	if err != nil {
		return nil, fmt.Errorf("list the example's files: %w", err)
	}
	files := make(map[string]string)
	for _, name := range names {
		text, err := examples.NFSHighAvailability.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the example: %w", err)
		}
		files[name[len("nfs-ha/"):]] = string(text)
	}
	return files, nil
}

// labServerCommand is a process of the lab, not a command for people.
type labServerCommand struct {
	Root    string `required:"" help:"Directory to export."`
	Export  uint32 `required:"" help:"Number of the export, part of every file handle."`
	Listen  string `required:"" help:"Address of NFS and MOUNT."`
	Portmap string `help:"Address of the portmapper."`
}

func (c *labServerCommand) Run(ctx context.Context, env *surroundings) error {
	log := slog.New(slog.NewTextHandler(env.err, nil))
	return nfsd.Serve(ctx, nfsd.Options{Root: c.Root, Export: c.Export, Listen: c.Listen, Portmap: c.Portmap}, log)
}

// labCrowdCommand is a process of the lab, not a command for people.
type labCrowdCommand struct {
	Service     netip.AddrPort `required:"" help:"Whom to connect to."`
	Local       netip.Addr     `required:"" help:"Where to connect from."`
	Connections int            `required:"" help:"How many connections to hold."`
}

func (c *labCrowdCommand) Run(ctx context.Context, env *surroundings) error {
	out := json.NewEncoder(env.out)
	return crowd.Run(ctx, c.Service, c.Local, c.Connections, func(s crowd.Seen) error { return out.Encode(s) })
}

// labVisitorCommand is a process of the lab, not a command for people.
type labVisitorCommand struct {
	URL string `name:"url" required:"" help:"Where the director's pages are."`
}

func (c *labVisitorCommand) Run(ctx context.Context, env *surroundings) error {
	return visitor.Run(ctx, c.URL, env.in, env.out)
}
