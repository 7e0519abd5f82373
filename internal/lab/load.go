package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"fairlead/internal/nfs"
)

// workers is the number of parallel clients.
const workers = 4

// ending is how the idle connection ended.
type ending struct {
	at   instant // 0: it did not
	kind nfs.EventKind
}

// load is the client's whole work: some workers and one idle connection.
type load struct {
	workers []*worker
	idle    *nfs.Client

	stop    chan struct{}  // closed: the workers end after the file that they are at
	working sync.WaitGroup // the workers
	waiting sync.WaitGroup // the idle connection
	cancel  context.CancelFunc

	mu     sync.Mutex // guards the following
	ended  ending
	failed []error
}

// mountLoad mounts the virtual IP and makes the workers' directories.
func (s *site) mountLoad(ctx context.Context, server netip.Addr) (*load, error) {
	root, err := s.mount(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("mount %v: %w", server, err)
	}
	addr := netip.AddrPortFrom(server, nfs.PortNFS)
	l := &load{stop: make(chan struct{}), idle: s.nfsClient(addr, nil)}
	for i := range workers {
		t := &track{}
		w := &worker{id: i + 1, track: t, client: s.nfsClient(addr, t.event)}
		l.workers = append(l.workers, w)
		if err := w.begin(ctx, root); err != nil {
			return nil, errors.Join(fmt.Errorf("make the directory of %s: %w", w.name(), err), l.close())
		}
	}
	if err := l.idle.Null(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect the idle client: %w", err), l.close())
	}
	return l, nil
}

// start sets everything to work.
func (l *load) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	for _, w := range l.workers {
		l.working.Go(func() {
			if err := w.run(ctx, l.stop); err != nil && ctx.Err() == nil {
				l.mu.Lock()
				l.failed = append(l.failed, err)
				l.mu.Unlock()
			}
		})
	}
	l.waiting.Go(func() {
		e, err := l.idle.Wait(ctx)
		at := now()
		if err != nil {
			return // ctx ended, the connection did not
		}
		l.mu.Lock()
		l.ended = ending{at, e.Kind}
		l.mu.Unlock()
	})
}

// finish lets the workers end what they are at, or cuts them off when ctx ends,
// and gives the idle connection up.
func (l *load) finish(ctx context.Context) {
	close(l.stop)
	cut := context.AfterFunc(ctx, l.cancel)
	l.working.Wait()
	if !cut() {
		l.mu.Lock()
		l.failed = append(l.failed, fmt.Errorf("the clients did not come to an end: %w", ctx.Err()))
		l.mu.Unlock()
	}
	l.cancel()
	l.waiting.Wait()
}

// idleEnd tells how the idle connection ended, so far.
func (l *load) idleEnd() ending {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// errors are those that the clients' applications saw, so far.
func (l *load) errors() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed[:len(l.failed):len(l.failed)]
}

// between is what all workers completed in a time.
func (l *load) between(from, to instant) volume {
	var v volume
	for _, w := range l.workers {
		v = v.plus(w.track.seen().between(from, to))
	}
	return v
}

// verify compares everything that the workers left behind.
func (l *load) verify(ctx context.Context, share string) error {
	errs := make([]error, len(l.workers))
	var all sync.WaitGroup
	for i, w := range l.workers {
		all.Go(func() {
			if err := w.verify(ctx, share); err != nil {
				errs[i] = fmt.Errorf("verify the files of %s: %w", w.name(), err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// close closes all connections.
func (l *load) close() error {
	errs := []error{l.idle.Close()}
	for _, w := range l.workers {
		errs = append(errs, w.client.Close())
	}
	return errors.Join(errs...)
}
