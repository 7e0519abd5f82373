package probe

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// wrong is an answer that is not as it should be, or none to a question that was
// put over an open connection.
type wrong struct {
	said  string // what the server does instead, with no cause below it
	asked string // or what it was asked over the connection
	cause error  // of asked: why there is no answer
}

func (w wrong) Error() string {
	if w.said != "" {
		return w.said
	}
	return fmt.Sprintf("%s: %v", w.asked, w.cause)
}

func (w wrong) Unwrap() error { return w.cause }

// words are those for people.
func (w wrong) words(err error, q question, within time.Duration) string {
	switch {
	case w.said != "":
		return q.at + " " + w.said
	case isLate(err):
		return fmt.Sprintf("%s accepts connections, but does not answer %s within %s", q.at, w.asked, within.Round(time.Millisecond))
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("%s accepts connections, but ends them without an answer to %s", q.at, w.asked)
	}
	return fmt.Sprintf("%s does not answer %s: %v", q.at, w.asked, w.cause)
}

// explainVIP says that a server that passes at its own address fails at a virtual IP.
func explainVIP(why string, err error, q question) string {
	own := q.by.String()
	if q.Port != 0 {
		own = netip.AddrPortFrom(q.by, q.Port).String()
	}
	fault := "is the VIP on its loopback? fairlead realserver setup --vip " + q.addr.String()
	switch {
	case *q.met:
		fault = "is it the same service that listens there?"
	case errors.Is(err, unix.EHOSTUNREACH):
		why = "it sends packets to the VIP on, instead of taking them"
	case !isLate(err): // it has the VIP
		fault = "does its service listen there, and does its firewall let it in?"
	}
	return fmt.Sprintf("%s answers at %s but not at the VIP %s (%s): %s", q.ref.Server, own, q.addr, why, fault)
}

// asking is what a server without a port was asked.
func asking(q question) string {
	switch q.Kind {
	case model.CheckICMP:
		return " to an ICMP echo request"
	case model.CheckARP:
		return " to ARP"
	}
	return ""
}

// isLate tells whether the time was over.
func isLate(err error) bool {
	return errors.As(err, new(timedOut)) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, unix.ETIMEDOUT)
}

// explain puts the outcome of a failed probe into plain words.
func explain(err error, q question, within time.Duration) string {
	var w wrong
	if errors.As(err, &w) {
		return w.words(err, q, within)
	}
	switch {
	case isLate(err):
		return fmt.Sprintf("no answer%s from %s within %s", asking(q), q.at, within.Round(time.Millisecond))
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Sprintf("connection refused by %s", q.at)
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.ENOTCONN):
		return fmt.Sprintf("connection reset by %s", q.at)
	case errors.Is(err, unix.EHOSTUNREACH):
		return fmt.Sprintf("no route to %s: nobody answers ARP for it, or a router reports it unreachable", q.at)
	case errors.Is(err, unix.ENETUNREACH):
		return fmt.Sprintf("no route to %s: this machine has none to its network", q.at)
	case errors.Is(err, unix.EADDRNOTAVAIL) && q.source.IsValid():
		return fmt.Sprintf("cannot probe %s from %s: this machine does not have that address", q.at, q.source)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Sprintf("cannot probe %s: no local port is free", q.at)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Sprintf("cannot probe %s: this machine's own firewall forbids it", q.at)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return fmt.Sprintf("cannot probe %s: too many open files on this machine", q.at)
	}
	return fmt.Sprintf("cannot connect to %s: %v", q.at, err)
}
