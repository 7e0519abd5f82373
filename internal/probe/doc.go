// Package probe asks real servers whether they serve, each on a steady schedule,
// and hands on every answer. A probe is one or several tests, which all must pass.
// It does not decide whether a server is up: it counts no rises and falls, and it
// remembers no result.
//
// A server may be broken or hostile: whatever it answers, a test ends with its
// timeout, has read a bounded number of bytes, and says one thing in plain words.
package probe
