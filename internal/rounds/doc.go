// Package rounds ends the connections that a switch has made old: it walks the
// connection table, sends resets to the clients and then to the servers, and
// repeats that, at a pace, for those not seen to end. It keeps account of what
// each connection has cost, and what its client may still be sent. It decides no
// switch, makes no packet (reset does), and begins nothing before the caller has seen the kernel hold the new choice.
package rounds
