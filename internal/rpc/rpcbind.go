package rpc

import "fairlead/internal/model"

// The programmes whose names are known, and the port of rpcbind.
const (
	ProgramPortmap = model.ProgramPortmap
	ProgramNFS     = model.ProgramNFS
	ProgramMount   = 100005
	ProgramNLM     = 100021
	ProgramStatus  = 100024

	PortPortmap = 111
)

// The transports as rpcbind numbers them: those of IP.
const (
	TCP = 6
	UDP = 17
)

// ProgramName is a programme's usual name, or its number.
func ProgramName(program uint32) string { return model.RPCName(program) }

// Mapping is one programme that a server has told its rpcbind of.
type Mapping struct {
	Program, Version uint32
	Protocol         uint32 // TCP, UDP or another one of IP
	Port             uint16
}

// maxMappings bounds a list that a server sends.
const maxMappings = 4096

// GetPort asks rpcbind (version 2, RFC 1833) for a programme's port; 0 means
// that it is not registered.
func GetPort(program, version, protocol uint32) Call[uint16] {
	return Call[uint16]{
		Procedure{"GETPORT", ProgramPortmap, 2, 3},
		func(e *Encoder) {
			e.Uint32(program)
			e.Uint32(version)
			e.Uint32(protocol)
			e.Uint32(0)
		},
		func(d *Decoder) (uint16, error) { return d.port(), d.err },
	}
}

// Dump asks rpcbind for everything that is registered.
func Dump() Call[[]Mapping] {
	return Call[[]Mapping]{Procedure: Procedure{"DUMP", ProgramPortmap, 2, 4}, Result: func(d *Decoder) ([]Mapping, error) {
		var list []Mapping
		for d.Bool() {
			if len(list) == maxMappings {
				d.Fail("more than %d programmes", maxMappings)
				break
			}
			list = append(list, Mapping{d.Uint32(), d.Uint32(), d.Uint32(), d.port()})
		}
		return list, d.err
	}}
}

func (d *Decoder) port() uint16 {
	p := d.Uint32()
	if p > 65535 {
		d.Fail("port %d", p)
		return 0
	}
	return uint16(p)
}
