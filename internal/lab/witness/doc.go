// Package witness watches the cables of the lab's servers and judges what was on
// them: whether packets of one connection ever went to two servers, and whether
// clients' data ever reached a server whose turn it was not.
//
// It sees every packet itself and believes nobody, but for the instants between
// which the director says that it switched. It knows TCP only, sends
// nothing, and keeps no payload.
package witness
