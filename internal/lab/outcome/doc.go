// Package outcome turns what a run of the lab saw into figures and a verdict, and
// prints them. It also holds what the lab can do to the service, and what must
// follow.
//
// It runs nothing, breaks nothing and measures nothing.
package outcome
