// Package agent is the daemon's one loop. It owns the state of the decisions:
// it turns everything that happens into events, and after each one reconciles
// the data plane, the probes, the watched neighbours and the announcements with
// the whole desired value. It performs the actions, keeps the record of the
// switches and composes the status. It decides nothing (decide does), and
// touches neither the kernel nor the network itself: its parts do, and come
// from outside.
//
// Who owns which goroutine and channel: Run starts every goroutine in one
// errgroup and returns when all have ended. The channels of facts (Results,
// Facts, Seen, Hangups) are read by the loop only; their senders wait when one
// is full, so the loop never calls anything that waits for such a sender. The
// orders of the control socket go through unbuffered channels: who orders waits
// for the loop. The reports of the reset rounds are buffered; a round waits
// when that is full, and the loop never waits for a round.
package agent
