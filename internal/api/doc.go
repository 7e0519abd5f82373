// Package api is the daemon's API: its messages, its routes with the role that
// each needs, their handlers, and the OpenAPI document that describes them. It is
// served in two places: on the control socket, which this package opens and has
// the client for, and on the network by package web. Who may open the socket,
// whose mode is 0600, is an admin. The package decides nothing and keeps no state:
// every request is handed to the Daemon.
package api

// DefaultSocket is where the daemon listens.
const DefaultSocket = "/run/fairlead/control.sock"
