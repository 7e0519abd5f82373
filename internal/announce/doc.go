// Package announce takes virtual IPs on the local network: it asks whether
// somebody else holds one (RFC 5227), tells the neighbours when it is ours, and
// watches for rivals afterwards. It does not answer ARP requests: the data plane
// does, once it is told to. IPv6 is treated alike, by neighbour discovery (RFC 4861 and
// 4862): the words of ARP stand here for both.
//
// The questions before come faster than RFC 5227 section 1.1 asks for (5 to 7
// seconds in all): three probes, 200 ms apart, and 200 ms to wait. The RFC's
// pace allows for networks that are still starting when a host plugs in; here the
// interface is up for long, and while the questions last the service is down.
// A rival that was too slow is still seen by the watch afterwards.
package announce
