package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// stopTime is for answers under way when the daemon stops.
const stopTime = 2 * time.Second

// Server answers on the control socket.
type Server struct {
	listener net.Listener
	log      *slog.Logger
}

// New returns a server for the listener. Run starts it and closes the listener.
func New(l net.Listener, log *slog.Logger) *Server {
	return &Server{listener: l, log: log}
}

// Run answers for the daemon until ctx ends.
func (s *Server) Run(ctx context.Context, d Daemon) error {
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{
		Handler:           NewHandler(d, s.log, who),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Requests end with the daemon: a stream would hold it up for ever.
		BaseContext: func(net.Listener) context.Context { return stopping },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peer(c))
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the control socket: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-failed
	return err
}

// peerKey is where a connection's context has its actor.
type peerKey struct{}

// who tells who speaks through the control socket.
func who(r *http.Request) model.Actor {
	by, _ := r.Context().Value(peerKey{}).(model.Actor)
	return by
}

// peer is who opened the socket: whoever could is an admin. A user other than
// root is named.
func peer(c net.Conn) model.Actor {
	by := model.Actor{Name: "root", Role: model.RoleAdmin, Via: "control socket"}
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return by
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return by
	}
	// Without the kernel's word the actor stays without a number.
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && cred.Uid != 0 {
			by.Via = fmt.Sprintf("control socket, uid %d", cred.Uid)
		}
	})
	return by
}
