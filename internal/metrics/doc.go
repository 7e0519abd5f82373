// Package metrics shows the daemon's state to Prometheus. One scrape is one
// model.Status, and what the package was told of probes, switches and
// notifications since the daemon's start. It measures nothing itself, remembers
// nothing over a restart, and never names a client.
//
// What is not known is left out, or is its own state: an absent series is not a
// zero. Counters of the data plane live in the kernel and go on when the daemon
// starts anew. Counters of checks, switches and notifications begin at zero then.
package metrics
