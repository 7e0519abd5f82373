// Package freshness measures how far the copies that standby servers have of a
// director's data are behind those of the active server: by a heartbeat file, which it
// writes through NFS on the active server and reads on the others, or by a programme
// of the administrator.
//
// Only this machine's clock is ever compared, and with itself: a heartbeat has a number,
// and the director knows when it wrote which. A file that is not a heartbeat is never
// written over. It does not decide whether a copy is good enough, and it remembers
// nothing over a restart.
package freshness
