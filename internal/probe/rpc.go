package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"fairlead/internal/nfswalk"
	"fairlead/internal/rpc"
)

// answerMost is how long an answer to NULL, or of rpcbind, may be.
const answerMost = 4 << 10

// machine is the name of this client in its credential.
const machine = "fairlead"

// overdue is a probe's context: it says that the deadline is over where the probe's
// time is.
type overdue struct{ context.Context }

func (c overdue) Err() error {
	if errors.As(context.Cause(c.Context), new(timedOut)) {
		return context.DeadlineExceeded
	}
	return c.Context.Err()
}

// unwell is that a server does not pass a check whose error is in plain words.
func (q question) unwell(err error) error {
	if err == nil {
		return nil
	}
	return wrong{said: fmt.Sprintf("does not pass %s: %v", q.label, err), cause: err}
}

// askRPC calls the programme's procedure 0, which does nothing and must be answered.
func askRPC(ctx context.Context, q question) error {
	network, protocol := "tcp", uint32(rpc.TCP)
	if q.UDP {
		network, protocol = "udp", rpc.UDP
	}
	version, err := strconv.ParseUint(q.Version, 10, 32)
	if err != nil {
		return fmt.Errorf("read the version: %w", err)
	}
	ctx = overdue{ctx}
	if q.Port == 0 {
		call := rpc.GetPort(q.Program, uint32(version), protocol)
		if q.Port, err = callRPC(ctx, q, network, rpc.PortPortmap, call); err != nil {
			return q.unwell(fmt.Errorf("ask rpcbind for its port: %w", err))
		}
		if q.Port == 0 {
			return q.unwell(errors.New("its rpcbind does not know of it"))
		}
	}
	_, err = callRPC(ctx, q, network, q.Port, rpc.Null(q.Program, uint32(version)))
	if err != nil {
		err = fmt.Errorf("NULL, port %d: %w", q.Port, err)
	}
	return q.unwell(err)
}

// callRPC makes one call over a connection of its own.
func callRPC[T any](ctx context.Context, q question, network string, port uint16, call rpc.Call[T]) (answer T, err error) {
	conn, err := q.dial(ctx, network, port, 0)
	if err != nil {
		return answer, rpc.Explain(ctx, err)
	}
	c := rpc.New(conn, rpc.Credential{}, answerMost)
	answer, err = rpc.Do(ctx, c, call)
	return answer, errors.Join(err, c.Close())
}

// askNFS asks what a client that mounts the export would ask.
func askNFS(ctx context.Context, q question) error {
	// Many servers believe only who comes from a port that only root may take.
	dial := func(ctx context.Context, network string, port uint16) (net.Conn, error) {
		return rpc.Privileged(func(local uint16) (net.Conn, error) { return q.dial(ctx, network, port, local) })
	}
	if q.Export == "" && q.Version == "3" { // NULL is answered to everybody
		dial = func(ctx context.Context, network string, port uint16) (net.Conn, error) {
			return q.dial(ctx, network, port, 0)
		}
	}
	return q.unwell(nfswalk.Walk(overdue{ctx}, dial, nfswalk.Target{
		Version: nfswalk.VersionOf(q.Version), Export: q.Export, File: q.File, Port: q.Port, Machine: machine,
	}).Err())
}
