// Package decide is the decision core of Fairlead: which server each director
// should use, since when and why. Step turns a state and an event into the next
// state and the things to do once; the state derives what the kernel should
// hold, what to remember, what to probe, when to be woken, and what people are
// shown.
//
// It does no I/O, reads no clock, starts nothing and logs nothing: time and
// facts come in as events. A recorded trace of events replays to the same state.
// It does not carry out what it decides, and it does not know whether anybody did.
//
// Each file is one noun: activity judges, turn leads a switch through its steps,
// suspicion weighs results and hints, copy how old the servers' data are, balance
// shares, order obeys, memory remembers. They stay one package, larger than the others, because each of them
// reads and writes the same director: a turn judges anew when it is given up, an
// order begins one, a restart resumes it. To cut there would lay open to others what
// only Step may write. What needs less than a whole director stands below: health,
// network, schedule.
package decide
