package nfs

import (
	"context"
	"errors"
	"fmt"

	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// do carries out a call and decodes its results.
func do[T any](ctx context.Context, c *Client, call rpc.Call[T]) (T, bool, error) {
	var zero T
	d, resent, err := c.call(ctx, call.Procedure, call.Args)
	if err != nil {
		return zero, resent, err
	}
	v, err := call.Read(d)
	if err != nil {
		return zero, resent, fmt.Errorf("%s: %w", call.Name, err)
	}
	return v, resent, nil
}

// Null asks whether the server answers.
func (c *Client) Null(ctx context.Context) error {
	_, _, err := do(ctx, c, rpc.Null(rpc.ProgramNFS, 3))
	return err
}

// Port asks the portmapper on which TCP port a programme listens.
func (c *Client) Port(ctx context.Context, program, version uint32) (uint16, error) {
	port, _, err := do(ctx, c, rpc.GetPort(program, version, rpc.TCP))
	if err == nil && port == 0 {
		return 0, fmt.Errorf("GETPORT: programme %d version %d is not registered", program, version)
	}
	return port, err
}

// Mount returns the handle of an export's root.
func (c *Client) Mount(ctx context.Context, path string) (Handle, error) {
	m, _, err := do(ctx, c, nfswire.Mount(path))
	return m.Root, err
}

// Lookup returns the handle of a name in a directory.
func (c *Client) Lookup(ctx context.Context, dir Handle, name string) (Handle, error) {
	h, _, err := do(ctx, c, nfswire.Lookup(dir, name))
	return h, err
}

// GetAttr returns a file's attributes.
func (c *Client) GetAttr(ctx context.Context, h Handle) (Attr, error) {
	a, _, err := do(ctx, c, nfswire.GetAttr(h))
	return a, err
}

// SetSize cuts a file, or grows it with zeros.
func (c *Client) SetSize(ctx context.Context, h Handle, size uint64) error {
	_, _, err := do(ctx, c, nfswire.SetSize(h, size))
	return err
}

// Read reads at most n bytes at an offset, n ≤ MaxData.
func (c *Client) Read(ctx context.Context, h Handle, offset uint64, n uint32) (data []byte, eof bool, err error) {
	r, _, err := do(ctx, c, nfswire.Read(h, offset, n))
	return r.Bytes, r.EOF, err
}

// Write writes data at an offset, at most MaxData bytes, without asking for
// stable storage: a Commit makes it stable.
func (c *Client) Write(ctx context.Context, h Handle, offset uint64, data []byte) (Written, error) {
	w, _, err := do(ctx, c, nfswire.Write(h, offset, data, nfswire.Unstable))
	return w, err
}

// Commit makes all that was written to a file stable. When the verifier differs
// from that of an unstable Write, the data of that Write must be written again.
func (c *Client) Commit(ctx context.Context, h Handle) (Verifier, error) {
	v, _, err := do(ctx, c, nfswire.Commit(h))
	return v, err
}

// Create makes a file that must not exist yet.
func (c *Client) Create(ctx context.Context, dir Handle, name string, mode uint32) (Handle, error) {
	return c.make(ctx, dir, name, nfswire.Create(dir, name, mode, nfswire.Guarded))
}

// Mkdir makes a directory that must not exist yet.
func (c *Client) Mkdir(ctx context.Context, dir Handle, name string, mode uint32) (Handle, error) {
	return c.make(ctx, dir, name, nfswire.Mkdir(dir, name, mode))
}

// make carries out CREATE or MKDIR. "File exists" after a resend means that
// the first attempt had worked: reply caches are each server's own.
func (c *Client) make(ctx context.Context, dir Handle, name string, call rpc.Call[Handle]) (Handle, error) {
	h, resent, err := do(ctx, c, call)
	done := resent && errors.Is(err, StatusExists)
	if err != nil && !done {
		return "", err
	}
	if done {
		c.repeat()
	}
	if h == "" {
		return c.Lookup(ctx, dir, name)
	}
	return h, nil
}

// Remove removes a file.
func (c *Client) Remove(ctx context.Context, dir Handle, name string) error {
	_, resent, err := do(ctx, c, nfswire.Remove(dir, name))
	if resent && errors.Is(err, StatusNoEntry) {
		c.repeat()
		return nil
	}
	return err
}

// Rename gives a file another name.
func (c *Client) Rename(ctx context.Context, fromDir Handle, from string, toDir Handle, to string) error {
	_, resent, err := do(ctx, c, nfswire.Rename(fromDir, from, toDir, to))
	if !resent || !errors.Is(err, StatusNoEntry) {
		return err
	}
	if _, e := c.Lookup(ctx, toDir, to); e != nil {
		return err
	}
	c.repeat()
	return nil
}

// ReadDir lists the names in a directory, without "." and "..".
func (c *Client) ReadDir(ctx context.Context, dir Handle) ([]string, error) {
	var names []string
	var at nfswire.Entries
	for !at.End {
		next, _, err := do(ctx, c, nfswire.ReadDir(dir, at))
		if err != nil {
			return nil, err
		}
		if !next.End && (len(next.Names) == 0 || next.Cookie == at.Cookie) {
			return nil, fmt.Errorf("READDIR: %w: no progress", ErrMalformed)
		}
		names = append(names, next.Names...)
		at = next
	}
	return names, nil
}

func (c *Client) repeat() {
	c.mu.Lock()
	c.repeated++
	c.mu.Unlock()
}
