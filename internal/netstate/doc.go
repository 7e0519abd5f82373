// Package netstate tells what the kernel knows of the network: the interfaces
// with their addresses, and the MACs of the neighbours that it is asked to keep
// fresh, or that nobody answers for them. It configures nothing; all it causes are ARP requests of the kernel.
package netstate
