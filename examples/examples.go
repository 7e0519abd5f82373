// Package examples holds the example configurations of this directory, so that
// one binary can run them. It holds their text only: it does not read or check
// it.
package examples

import "embed"

// NFSHighAvailability is the directory nfs-ha: the configuration of an NFS
// service with two servers, one of them active.
//
//go:embed nfs-ha/*.cfg
var NFSHighAvailability embed.FS
