// Package notify tells people and programmes what happened: it delivers events
// of the journal by webhook, by e-mail, or to a command. It does not decide what
// is worth telling, which the configuration says, and it keeps nothing on disk:
// what was not delivered when the daemon ends stands in the journal only.
//
// Each target has a queue and a goroutine of its own, so a slow one delays nobody
// else, and nothing here ever waits in the journal's way. What fails is tried
// again with growing pauses for an hour. A full queue drops the oldest of what
// matters least. An event may be delivered twice, with the same ID.
package notify
