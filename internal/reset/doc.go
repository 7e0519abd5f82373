// Package reset ends TCP connections from outside: it forges, for a virtual IP,
// the packets that make a client's kernel give a connection up at once. It does
// not know which connections are to end, when, or how often to try: that, and
// the pace, are the caller's.
//
// A client accepts a RST only with the exact sequence number that it expects
// next (RFC 5961 section 3.2). With Direct Server Return nobody here sees what
// the servers send, but the client's own acknowledgments say that number. So
// each connection gets two packets:
//
//   - a RST with the last acknowledgment number seen, if one was seen;
//   - a tickle: a bare ACK below the client's window. A kernel that still has the
//     connection answers it with an ACK that holds the exact number (RFC 9293
//     section 3.10.7.4), and the data plane, through which that answer comes,
//     answers with the exact RST. It serves where the number seen was
//     outdated or none was. A kernel answers once in 500 ms; sooner repeats are
//     useless.
package reset
