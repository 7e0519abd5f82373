// Package probe asks real servers whether they accept TCP connections, each on
// a steady schedule, and hands on every answer. It does not decide whether a
// server is up: it counts no rises and falls, and it remembers no result.
package probe
