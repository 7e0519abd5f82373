// Package lab builds the application note's whole diagram on one machine, in
// network namespaces: a client, the director, two NFS servers. It runs real
// traffic through it, breaks something, and measures what the client sees.
//
// It decides nothing about the service: the director is the real programme in a
// process of its own.
package lab
