// Package dataplane holds the eBPF programme and everything that it shares with
// user space: it loads and pins them, attaches the programme to interfaces,
// reconciles rules and choices with the desired value, and reads connections
// and counters back. It is the only importer of cilium/ebpf.
//
// It does not decide who is active, send packets, or watch links and
// neighbours: those facts are in the desired value already.
//
// What lies in the pin directory outlives the process: Close leaves it
// forwarding, Open adopts it, Detach takes it out.
package dataplane
