// Package lab runs real traffic through the application note's whole diagram,
// breaks something, and measures what the client sees.
//
// It decides nothing about the service: the director is the real programme in a
// process of its own.
package lab
