// Package site builds the application note's diagram on one machine, in network
// namespaces: a client, the director, two NFS servers on one directory. It can
// watch the servers' cables, and add a crowd of idle clients.
//
// It decides nothing about the service: the director is the real programme in a
// process of its own. It runs no scenario, and judges nothing.
package site
