// Package journal keeps what happened, in order and numbered, for who asks later
// and who follows. It keeps the last entries in memory and more of them on disk.
// It does not decide what is worth an entry, and it is no log: every entry is a
// model.Event.
//
// On disk it is two files of JSON lines: the present one, and the one before,
// which it replaces when it is full. A line that was torn by a crash is passed
// over. The numbers go on over restarts.
//
// Nobody waits for the disk but the writer. An entry is handed to the kernel at
// once, so that it outlives the daemon, and is safe from a power failure half a
// second later: a sync at once would hold up what a switch has to save. While the
// disk takes nothing, the journal goes on in memory, says so by Err, and tries
// again.
//
// The journal takes no lock: a daemon opens it in a directory that it has for
// itself.
package journal
