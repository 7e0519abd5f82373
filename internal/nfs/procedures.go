package nfs

import (
	"context"
	"errors"
	"fmt"
)

var (
	procNull    = procedure{"NULL", ProgramNFS, 3, 0}
	procGetAttr = procedure{"GETATTR", ProgramNFS, 3, 1}
	procSetAttr = procedure{"SETATTR", ProgramNFS, 3, 2}
	procLookup  = procedure{"LOOKUP", ProgramNFS, 3, 3}
	procRead    = procedure{"READ", ProgramNFS, 3, 6}
	procWrite   = procedure{"WRITE", ProgramNFS, 3, 7}
	procCreate  = procedure{"CREATE", ProgramNFS, 3, 8}
	procMkdir   = procedure{"MKDIR", ProgramNFS, 3, 9}
	procRemove  = procedure{"REMOVE", ProgramNFS, 3, 12}
	procRename  = procedure{"RENAME", ProgramNFS, 3, 14}
	procReadDir = procedure{"READDIR", ProgramNFS, 3, 16}
	procCommit  = procedure{"COMMIT", ProgramNFS, 3, 21}
	procMount   = procedure{"MOUNT", ProgramMount, 3, 1}
	procGetPort = procedure{"GETPORT", ProgramPortmap, 2, 3}
)

// do carries out a call and decodes its results.
func do[T any](ctx context.Context, c *Client, p procedure, args func(*encoder), result func(*decoder) (T, error)) (T, bool, error) {
	var zero T
	d, resent, err := c.call(ctx, p, args)
	if err != nil {
		return zero, resent, err
	}
	v, err := result(&d)
	if err != nil {
		return zero, resent, fmt.Errorf("%s: %w", p.name, err)
	}
	return v, resent, nil
}

// statusOnly is the result of calls of which only the status matters.
func statusOnly(d *decoder) (struct{}, error) { return struct{}{}, d.status() }

// Null asks whether the server answers.
func (c *Client) Null(ctx context.Context) error {
	_, _, err := c.call(ctx, procNull, nil)
	return err
}

// Port asks the portmapper on which TCP port a programme listens.
func (c *Client) Port(ctx context.Context, program, version uint32) (uint16, error) {
	port, _, err := do(ctx, c, procGetPort, func(e *encoder) {
		e.uint32(program)
		e.uint32(version)
		e.uint32(6) // IPPROTO_TCP
		e.uint32(0)
	}, portResult)
	if err == nil && port == 0 {
		return 0, fmt.Errorf("GETPORT: programme %d version %d is not registered", program, version)
	}
	return port, err
}

// Mount returns the handle of an export's root.
func (c *Client) Mount(ctx context.Context, path string) (Handle, error) {
	h, _, err := do(ctx, c, procMount, func(e *encoder) { e.name(path) }, mountResult)
	return h, err
}

// Lookup returns the handle of a name in a directory.
func (c *Client) Lookup(ctx context.Context, dir Handle, name string) (Handle, error) {
	h, _, err := do(ctx, c, procLookup, entry(dir, name), lookupResult)
	return h, err
}

// GetAttr returns a file's attributes.
func (c *Client) GetAttr(ctx context.Context, h Handle) (Attr, error) {
	a, _, err := do(ctx, c, procGetAttr, func(e *encoder) { e.handle(h) }, attrResult)
	return a, err
}

// SetSize cuts a file, or grows it with zeros.
func (c *Client) SetSize(ctx context.Context, h Handle, size uint64) error {
	_, _, err := do(ctx, c, procSetAttr, func(e *encoder) {
		e.handle(h)
		for _, v := range []uint32{0, 0, 0, 1 /* set the size */} {
			e.uint32(v)
		}
		e.uint64(size)
		e.uint32(0) // atime, mtime: as they are
		e.uint32(0)
		e.uint32(0) // no guard
	}, statusOnly)
	return err
}

// Read reads at most n bytes at an offset, n ≤ MaxData.
func (c *Client) Read(ctx context.Context, h Handle, offset uint64, n uint32) (data []byte, eof bool, err error) {
	data, _, err = do(ctx, c, procRead, func(e *encoder) {
		e.handle(h)
		e.uint64(offset)
		e.uint32(n)
	}, func(d *decoder) (data []byte, err error) {
		data, eof, err = readResult(d)
		return data, err
	})
	if err == nil && len(data) > int(n) {
		return nil, false, fmt.Errorf("READ: %w: %d bytes for %d", ErrMalformed, len(data), n)
	}
	return data, eof, err
}

// Write writes data at an offset, at most MaxData bytes, without asking for
// stable storage: a Commit makes it stable.
func (c *Client) Write(ctx context.Context, h Handle, offset uint64, data []byte) (Written, error) {
	w, _, err := do(ctx, c, procWrite, func(e *encoder) {
		e.handle(h)
		e.uint64(offset)
		e.uint32(uint32(len(data)))
		e.uint32(0) // UNSTABLE
		e.opaque(data)
	}, writeResult)
	if err == nil && int(w.Count) > len(data) {
		return Written{}, fmt.Errorf("WRITE: %w: %d bytes of %d", ErrMalformed, w.Count, len(data))
	}
	return w, err
}

// Commit makes all that was written to a file stable. When the verifier differs
// from that of an unstable Write, the data of that Write must be written again.
func (c *Client) Commit(ctx context.Context, h Handle) (Verifier, error) {
	v, _, err := do(ctx, c, procCommit, func(e *encoder) {
		e.handle(h)
		e.uint64(0) // from the start
		e.uint32(0) // to the end
	}, commitResult)
	return v, err
}

// Create makes a file that must not exist yet.
func (c *Client) Create(ctx context.Context, dir Handle, name string, mode uint32) (Handle, error) {
	return c.make(ctx, procCreate, dir, name, func(e *encoder) {
		e.handle(dir)
		e.name(name)
		e.uint32(1) // GUARDED
		sattr(e, mode)
	})
}

// Mkdir makes a directory that must not exist yet.
func (c *Client) Mkdir(ctx context.Context, dir Handle, name string, mode uint32) (Handle, error) {
	return c.make(ctx, procMkdir, dir, name, func(e *encoder) {
		e.handle(dir)
		e.name(name)
		sattr(e, mode)
	})
}

// make carries out CREATE or MKDIR. "File exists" after a resend means that
// the first attempt had worked: reply caches are each server's own.
func (c *Client) make(ctx context.Context, p procedure, dir Handle, name string, args func(*encoder)) (Handle, error) {
	given := false
	h, resent, err := do(ctx, c, p, args, func(d *decoder) (h Handle, err error) {
		h, given, err = createResult(d)
		return h, err
	})
	done := resent && errors.Is(err, StatusExists)
	if err != nil && !done {
		return "", err
	}
	if done {
		c.repeat()
	}
	if !given {
		return c.Lookup(ctx, dir, name)
	}
	return h, nil
}

// Remove removes a file.
func (c *Client) Remove(ctx context.Context, dir Handle, name string) error {
	_, resent, err := do(ctx, c, procRemove, entry(dir, name), statusOnly)
	if resent && errors.Is(err, StatusNoEntry) {
		c.repeat()
		return nil
	}
	return err
}

// Rename gives a file another name.
func (c *Client) Rename(ctx context.Context, fromDir Handle, from string, toDir Handle, to string) error {
	_, resent, err := do(ctx, c, procRename, func(e *encoder) {
		e.handle(fromDir)
		e.name(from)
		e.handle(toDir)
		e.name(to)
	}, statusOnly)
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
	var at entries
	for !at.end {
		next, _, err := do(ctx, c, procReadDir, func(e *encoder) {
			e.handle(dir)
			e.uint64(at.cookie)
			e.b = append(e.b, at.verifier[:]...)
			e.uint32(32 << 10)
		}, readDirResult)
		if err != nil {
			return nil, err
		}
		if !next.end && (len(next.names) == 0 || next.cookie == at.cookie) {
			return nil, fmt.Errorf("READDIR: %w: no progress", ErrMalformed)
		}
		names = append(names, next.names...)
		at = next
	}
	return names, nil
}

func (c *Client) repeat() {
	c.mu.Lock()
	c.repeated++
	c.mu.Unlock()
}

// entry encodes a directory and a name in it.
func entry(dir Handle, name string) func(*encoder) {
	return func(e *encoder) {
		e.handle(dir)
		e.name(name)
	}
}

// sattr encodes attributes of which only the mode is set.
func sattr(e *encoder, mode uint32) {
	e.uint32(1)
	e.uint32(mode)
	for range 5 { // uid, gid, size, atime, mtime: the server's choice
		e.uint32(0)
	}
}
