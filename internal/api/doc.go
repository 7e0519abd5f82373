// Package api is the daemon's API: its messages, its routes with the role that
// each needs, their handlers, the stream of what is live, and the OpenAPI document
// that describes them. It is served in two places: on the control socket, which
// this package opens and has the client for, and on the network by package web.
// Who may open the socket, whose mode is 0600, is an admin. The package decides
// nothing, knows no passwords, and keeps nothing but what the viewers of the
// stream were told last: every request is handed to the Daemon.
//
// It is larger than a package should be, because the messages, both ends of the
// control socket and the handlers of all routes must change together.
package api

// DefaultSocket is where the daemon listens.
const DefaultSocket = "/run/fairlead/control.sock"
