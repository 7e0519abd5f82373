// Package control is the daemon's control socket: a server that speaks HTTP
// with JSON over a Unix socket, the client for it, and the messages that both
// share. Who may open the socket may give orders: its mode, 0600, is the whole
// access control. The package decides nothing and keeps no state: every request
// is handed to the Daemon.
package control

// DefaultSocket is where the daemon listens.
const DefaultSocket = "/run/fairlead/control.sock"
