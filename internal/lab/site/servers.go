package site

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"

	"fairlead/internal/ganesha"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/workload"
	"fairlead/internal/nfs"
	"fairlead/internal/nfsd"
	"fairlead/internal/topology"
)

// exportID is the same on both servers: it is part of every file handle.
const exportID = "77"

// startServers starts an NFS server on both hosts, over one directory, and
// waits until they answer.
func (s *Site) startServers(ctx context.Context) error {
	s.Serving = make([]*topology.Process, len(s.Servers))
	for i := range s.Servers {
		if err := s.serve(i); err != nil {
			return err
		}
	}
	for i := range s.Servers {
		if err := s.served(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// served waits until a host's NFS server answers.
func (s *Site) served(ctx context.Context, i int) error {
	h := s.Servers[i]
	return s.ready(ctx, h, s.Serving[i], func(ctx context.Context) error { return s.answers(ctx, h) })
}

// Restart ends a host's NFS server, if it runs, and starts another one.
func (s *Site) Restart(ctx context.Context, i int) error {
	if err := s.Serving[i].Stop(stopTime); err != nil {
		return err
	}
	if err := s.serve(i); err != nil {
		return err
	}
	return s.served(ctx, i)
}

// serve starts a host's NFS server.
func (s *Site) serve(i int) (err error) {
	h, cmd := s.Servers[i], s.embedded()
	if s.opts.NFS == outcome.Ganesha {
		if cmd, err = s.ganesha(h); err != nil {
			return err
		}
	}
	s.Serving[i], err = s.start(h, cmd)
	return err
}

// embedded is this programme as an NFS server.
func (s *Site) embedded() *exec.Cmd {
	return exec.Command(s.opts.Program, "lab-server", "--root", s.Share(), "--export", exportID,
		"--listen", fmt.Sprintf(":%d", nfs.PortNFS), "--portmap", fmt.Sprintf(":%d", nfs.PortPortmap))
}

// answers mounts a server's export, from the client, without the director.
func (s *Site) answers(ctx context.Context, h *topology.Host) error {
	server := netip.AddrPortFrom(h.Addr.Addr(), nfs.PortPortmap)
	c, err := s.dial(ctx, netip.AddrPort{}, server)
	if err != nil { // ask again soon, not after a client's back-off
		return err
	}
	c.Close()
	_, err = s.mount(ctx, h.Addr.Addr())
	return err
}

// dial connects from the client's host.
func (s *Site) dial(ctx context.Context, local, server netip.AddrPort) (c net.Conn, err error) {
	err = s.Client.Do(func() (err error) {
		c, err = nfs.Dial(ctx, local, server)
		return err
	})
	return c, err
}

// mount asks a server's portmapper for MOUNT and mounts the export.
func (s *Site) mount(ctx context.Context, server netip.Addr) (nfs.Handle, error) {
	portmap := s.NFSClient(netip.AddrPortFrom(server, nfs.PortPortmap), nil)
	defer portmap.Close()
	port, err := portmap.Port(ctx, nfs.ProgramMount, 3)
	if err != nil {
		return "", err
	}
	mount := s.NFSClient(netip.AddrPortFrom(server, port), nil)
	defer mount.Close()
	return mount.Mount(ctx, s.exportPath())
}

// Load mounts a server, or the virtual IP, and connects the client's work to it.
func (s *Site) Load(ctx context.Context, server netip.Addr) (*workload.Load, error) {
	root, err := s.mount(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("mount %v: %w", server, err)
	}
	return workload.New(ctx, root, func(event func(nfs.Event)) *nfs.Client {
		return s.NFSClient(netip.AddrPortFrom(server, nfs.PortNFS), event)
	})
}

// exportPath is what clients mount: ganesha exports NFSv3 under the real path.
func (s *Site) exportPath() string {
	if s.opts.NFS == outcome.Ganesha {
		return s.Share()
	}
	return nfsd.ExportPath
}

// NFSClient is a client on the client's host.
func (s *Site) NFSClient(server netip.AddrPort, event func(nfs.Event)) *nfs.Client {
	return nfs.New(nfs.Options{Server: server, Dial: s.dial, Event: event, Machine: s.Client.Name})
}

// ganesha is nfs-ganesha for one host. Both servers have the same export number,
// hence the same file handles.
func (s *Site) ganesha(h *topology.Host) (*exec.Cmd, error) {
	return ganesha.Command(ganesha.Options{Dir: filepath.Join(s.dir, h.Name), Root: s.Share()})
}
