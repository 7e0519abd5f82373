// Package nfsd is the lab's embedded NFSv3 server: one directory, exported over
// TCP with MOUNT on the same port and a portmapper beside it. File handles
// depend on the path only, so that every server of the same directory gives the
// same ones and a client can be moved between servers.
//
// It is made for experiments: it knows no access control and no locks, does not
// sync what it writes, and a renamed file gets another handle.
package nfsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/willscott/go-nfs"
	"golang.org/x/sync/errgroup"
)

// ExportPath is the path that clients mount.
const ExportPath = "/export"

// Options say what to serve and where.
type Options struct {
	Root    string // the directory to export
	Export  uint32 // the export's number: part of every handle, equal on all servers
	Listen  string // TCP address of NFS and MOUNT, for example ":2049"
	Portmap string // TCP address of the portmapper; "": none
}

// Serve answers clients until ctx ends.
func Serve(ctx context.Context, o Options, log *slog.Logger) error {
	tree, err := os.OpenRoot(o.Root)
	if err != nil {
		return fmt.Errorf("export %s: %w", o.Root, err)
	}
	defer tree.Close()
	var listeners []*listener
	defer func() {
		for _, l := range listeners {
			l.shut()
		}
	}()
	for _, addr := range []string{o.Listen, o.Portmap} {
		if addr == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("listen for NFS clients: %w", err)
		}
		listeners = append(listeners, &listener{Listener: l, open: map[*conn]bool{}})
	}
	port := listeners[0].Addr().(*net.TCPAddr).Port
	if err := register(); err != nil {
		return err
	}
	log.Info("serving NFS", "export", o.Root, "addr", listeners[0].Addr().String())
	return serve(ctx, &nfs.Server{Handler: newExport(tree, o.Export, port), Context: ctx}, listeners)
}

// serve runs one server on all listeners until ctx ends.
func serve(ctx context.Context, s *nfs.Server, listeners []*listener) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			stop := context.AfterFunc(ctx, l.shut)
			defer stop()
			if err := s.Serve(l); !errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accept NFS clients: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}

// listener remembers its connections so that they can be closed with it.
type listener struct {
	net.Listener

	mu   sync.Mutex // guards open
	open map[*conn]bool
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	k := &conn{Conn: c, of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[k] = true
	return k, nil
}

// shut closes the listener and every connection.
func (l *listener) shut() {
	l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.Conn.Close()
	}
	clear(l.open)
}

// conn closes itself when reading fails: the library only does so at the end
// of the stream, and a reset connection would stay open for ever.
type conn struct {
	net.Conn
	of *listener
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.Close()
	}
	return n, err
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
