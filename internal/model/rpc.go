package model

import "strconv"

// RPCProgram is a programme of ONC RPC (RFC 5531) that has a name.
type RPCProgram struct {
	Name    string
	Number  uint32
	Version uint32 // that is asked for when nobody says
}

// The programmes that belong to NFS.
const (
	ProgramPortmap = 100000
	ProgramNFS     = 100003
)

// RPCPrograms are those whose names are known.
func RPCPrograms() []RPCProgram {
	return []RPCProgram{
		{"rpcbind", ProgramPortmap, 2}, {"nfs", ProgramNFS, 3}, {"ypserv", 100004, 2}, {"mountd", 100005, 3},
		{"ypbind", 100007, 2}, {"rquotad", 100011, 2}, {"nlockmgr", 100021, 4}, {"status", 100024, 1}, {"nfs_acl", 100227, 3},
	}
}

// RPCName is a programme's usual name, or its number.
func RPCName(number uint32) string {
	for _, p := range RPCPrograms() {
		if p.Number == number {
			return p.Name
		}
	}
	return strconv.FormatUint(uint64(number), 10)
}
