package nfswire

import (
	"fmt"

	"fairlead/internal/rpc"
)

// Status is an NFS or MOUNT error of the server; it is never 0.
type Status uint32

// The statuses that callers branch on.
const (
	StatusNotOwner   Status = 1
	StatusNoEntry    Status = 2
	StatusAccess     Status = 13
	StatusExists     Status = 17
	StatusNotDir     Status = 20
	StatusInvalid    Status = 22
	StatusReadOnly   Status = 30
	StatusStale      Status = 70
	StatusDelay      Status = 10008
	StatusGrace      Status = 10013
	StatusBadSession Status = 10052
	StatusWrongSec   Status = 10016
	StatusMinor      Status = 10021
)

var statusNames = map[Status]string{
	StatusNotOwner:   "not the owner",
	StatusNoEntry:    "no such file or directory",
	5:                "input/output error",
	6:                "no such device",
	StatusAccess:     "permission denied",
	StatusExists:     "file exists",
	18:               "crosses file systems",
	StatusNotDir:     "not a directory",
	21:               "is a directory",
	StatusInvalid:    "invalid argument",
	27:               "file too large",
	28:               "no space left",
	StatusReadOnly:   "read-only file system",
	63:               "name too long",
	66:               "directory not empty",
	69:               "quota exceeded",
	StatusStale:      "stale file handle",
	10001:            "bad file handle",
	10004:            "operation not supported",
	10005:            "reply too small",
	10006:            "server fault",
	10007:            "type not supported",
	StatusDelay:      "server asks to try later",
	StatusGrace:      "server is in its grace period",
	StatusWrongSec:   "wrong security flavour: it may want Kerberos",
	10017:            "client identifier in use",
	10018:            "not enough resources",
	StatusMinor:      "minor version not supported",
	10022:            "client identifier unknown to the server",
	10025:            "bad state identifier",
	10044:            "unknown operation",
	StatusBadSession: "bad session",
	10053:            "bad slot",
	10063:            "session calls out of order",
}

func (s Status) Error() string {
	if n, ok := statusNames[s]; ok {
		return fmt.Sprintf("%s (status %d)", n, uint32(s))
	}
	return fmt.Sprintf("status %d", uint32(s))
}

// status reads the status that starts every NFS and MOUNT result.
func status(d *rpc.Decoder) error {
	s := d.Uint32()
	if d.Err() != nil {
		return d.Err()
	}
	if s != 0 {
		return Status(s)
	}
	return nil
}
