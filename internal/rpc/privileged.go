package rpc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
)

// The ports that only root may take, less those that services usually have.
const (
	lowestPort  = 665
	highestPort = 1023
)

// Privileged opens a connection from a port that only root may take: many NFS
// servers believe no other one. Dial is given a port that may be in use.
func Privileged(dial func(port uint16) (net.Conn, error)) (net.Conn, error) {
	const ports = highestPort - lowestPort + 1
	first := rand.N(ports)
	for i := range ports {
		conn, err := dial(uint16(lowestPort + (first+i)%ports))
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return conn, err
		}
	}
	return nil, fmt.Errorf("all ports from %d to %d are in use", lowestPort, highestPort)
}
