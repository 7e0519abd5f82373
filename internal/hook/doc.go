// Package hook runs the administrator's programmes that a switch waits for: one
// that keeps the old server from writing (fence), and one that makes the new
// server ready (promote). It does not decide when to run them, nor what their
// failure means, and it never runs one again by itself.
//
// A hook runs as root, so it must not be anybody else's to change. It gets the
// switch in its environment, and the same as one JSON object on its standard
// input. Exit code 0 means success. What it prints is kept for the error, the
// last 4 KiB of it. At its timeout its whole process group is ended. Processes
// that it leaves behind after a success are left alone, and are not waited for.
//
// A daemon that dies meanwhile does not end the hook, and the next daemon runs
// it again. So hooks must bear being run twice.
package hook
