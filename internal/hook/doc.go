// Package hook runs the administrator's programmes that a switch waits for: one
// that keeps the old server from writing (fence), and one that makes the new
// server ready (promote). It does not decide when to run them, nor what their
// failure means, and it never runs one again by itself.
//
// A hook gets the switch in its environment, and the same as one JSON object on its
// standard input. Package program says how it is run, and when it is not.
//
// A daemon that dies meanwhile does not end the hook, and the next daemon runs
// it again. So hooks must bear being run twice.
package hook
