// Package reset ends TCP connections from outside: it forges, for a virtual IP,
// the packets that make a client's kernel give a connection up at once, and for
// the client those that do the same at its old server. It does not know which
// connections are to end, when, how often to try, or how much a connection may be
// sent: that, and the pace, are the caller's.
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
//
// The old server's end gets the same two, the other way round: a RST with the
// client's next sequence number, and a tickle that makes the server answer the
// client. Without them its socket would meet the client when the service returns,
// as NFS clients use the same port again.
package reset
