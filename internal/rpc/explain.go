package rpc

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
)

// ErrNoAnswer tells that the time ran out.
var ErrNoAnswer = errors.New("no answer in time")

// plain is an error in plain words. Its cause can be asked for and is not shown.
type plain struct {
	words error
	cause error
}

func (p *plain) Error() string   { return p.words.Error() }
func (p *plain) Unwrap() []error { return []error{p.words, p.cause} }

var explanations = []struct {
	cause error
	words error
}{
	{context.Canceled, errors.New("the check was given up")},
	{context.DeadlineExceeded, ErrNoAnswer},
	{os.ErrDeadlineExceeded, ErrNoAnswer},
	{syscall.ETIMEDOUT, ErrNoAnswer},
	{syscall.ECONNREFUSED, errors.New("connection refused: nothing listens on the port")},
	{syscall.EHOSTUNREACH, errors.New("host unreachable: it does not answer ARP or ND, or a router says so")},
	{syscall.ENETUNREACH, errors.New("no route to its network")},
	{syscall.ECONNRESET, errors.New("the server reset the connection")},
	{syscall.EPIPE, errors.New("the server closed the connection")},
	{io.ErrUnexpectedEOF, errors.New("the server closed the connection in the middle of its answer")},
	{io.EOF, errors.New("the server closed the connection without an answer")},
	{syscall.EMSGSIZE, errors.New("the packet is longer than the path allows")},
}

// Explain puts an error of a connection into plain words, its cause beneath.
// When ctx has ended, that is the cause.
func Explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ErrMalformed) {
		err = ended
	}
	for _, e := range explanations {
		if errors.Is(err, e.cause) {
			return &plain{e.words, err}
		}
	}
	return err
}
