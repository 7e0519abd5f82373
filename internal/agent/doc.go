// Package agent is the daemon's one loop. It owns the state of the decisions:
// it turns everything that happens into events, and after each one saves what
// must survive, and reconciles the data plane, the probes, the watched neighbours
// and the announcements with the whole desired value. It performs the actions,
// keeps clients' SYNs while they have to wait, keeps the record of the switches,
// and composes the status and the journal. It decides nothing (decide does), and
// touches neither the kernel nor the network itself: its parts do, and come
// from outside. It is larger than a package should be, because this is the one
// place where all the effects meet.
//
// Who owns which goroutine and channel: Run starts every goroutine in one
// errgroup and returns when all have ended; only the journal's writer outlives
// the group, to keep the stop too, and a save of the memory on a disk that hangs:
// the loop waits a second for each save, then goes on without it. The channels of facts (Results, Facts, Seen,
// Hangups, the sightings of the data plane) are read by the loop only; their
// senders wait when one is full, so the loop never calls anything that waits for
// such a sender. The orders of the control socket go through unbuffered
// channels: who orders waits for the loop. Hooks, rounds of resets and frames
// that are sent on have goroutines of their own and report to the loop; they
// wait for it, and it never waits for them.
package agent
