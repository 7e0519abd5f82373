package nfswire

import "fairlead/internal/rpc"

func mount(name string, index uint32) rpc.Procedure {
	return rpc.Procedure{Name: name, Program: rpc.ProgramMount, Version: 3, Index: index}
}

// Mounted is the answer to Mount.
type Mounted struct {
	Root    Handle
	Flavors []uint32 // how the server lets clients say who they are: 1 is AUTH_SYS
}

// Mount asks for the handle of an export's root. The server remembers the client
// until Unmount.
func Mount(path string) rpc.Call[Mounted] {
	return rpc.Call[Mounted]{Procedure: mount("MOUNT", 1), Args: named(path), Result: func(d *rpc.Decoder) (m Mounted, err error) {
		if err := status(d); err != nil {
			return m, err
		}
		m.Root = handle(d, maxHandle3)
		n := d.Uint32()
		if n > maxFlavor {
			d.Fail("%d authentication flavours", n)
		}
		for i := uint32(0); i < n && d.Err() == nil; i++ {
			m.Flavors = append(m.Flavors, d.Uint32())
		}
		return m, d.Err()
	}}
}

// Unmount makes the server forget that the client mounted an export.
func Unmount(path string) rpc.Call[struct{}] {
	return rpc.Call[struct{}]{Procedure: mount("UMNT", 3), Args: named(path)}
}

// Export is one line of a server's list of exports.
type Export struct {
	Path   string
	Groups []string // to whom; none: to all
}

// Exports asks for the list of exports.
func Exports() rpc.Call[[]Export] {
	return rpc.Call[[]Export]{Procedure: mount("EXPORT", 5), Result: func(d *rpc.Decoder) (list []Export, err error) {
		for d.Bool() {
			if len(list) == maxList {
				d.Fail("more than %d exports", maxList)
				break
			}
			x := Export{Path: string(d.Opaque(maxName))}
			for d.Bool() {
				if len(x.Groups) == maxList {
					d.Fail("more than %d groups of one export", maxList)
					break
				}
				x.Groups = append(x.Groups, string(d.Opaque(maxName)))
			}
			list = append(list, x)
		}
		return list, d.Err()
	}}
}

func named(name string) func(*rpc.Encoder) {
	return func(e *rpc.Encoder) { e.String(name) }
}

func handle(d *rpc.Decoder, limit uint32) Handle {
	h := Handle(d.Opaque(limit))
	if h == "" {
		d.Fail("empty file handle")
	}
	return h
}
