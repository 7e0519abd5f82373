// Package rpc speaks ONC RPC (RFC 5531) as a client: calls, replies, records
// over TCP, datagrams over UDP, and the questions that rpcbind answers.
//
// A server is not trusted: no length that it sends is believed before the bytes
// have come, and each failure is one error in plain words. The package opens no
// socket, so that its caller decides where a call leaves and from which address.
// It knows nothing of NFS, and never calls again over another connection.
package rpc
