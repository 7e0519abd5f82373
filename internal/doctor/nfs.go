package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"fairlead/internal/nfswalk"
	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// patience is how long one server is asked for one thing of NFS.
const patience = 3 * time.Second

// maxExports is how many exports of one server are mounted.
const maxExports = 64

// asker asks one server for what belongs to NFS.
type asker struct {
	ctx    context.Context
	dial   nfswalk.Dial
	target nfswalk.Target
}

// nfs looks at a server's NFS.
func (l *looker) nfs(ctx context.Context, s *Server) *NFS {
	l.tell("%s: NFS", s.Name)
	name, err := os.Hostname()
	if err != nil {
		name = "director"
	}
	a := asker{ctx, dialer(s.Addr), nfswalk.Target{Port: s.Port, Machine: name}}
	n := &NFS{}
	n.Three, n.Four = a.offers(nfswalk.V3), a.offers(nfswalk.V40)
	for _, v := range []Seen[bool]{n.Three, n.Four} {
		if !v.Known {
			n.Trouble = append(n.Trouble, v.Because)
			break // the other version says the same
		}
	}
	if len(n.Trouble) > 0 {
		return n
	}
	var work sync.WaitGroup
	work.Go(func() { a.three(n) })
	work.Go(func() { a.four(n) })
	work.Wait()
	return n
}

// dialer connects from a port that only root may take, which many NFS servers
// insist on, and to a server's own address.
func dialer(server netip.Addr) nfswalk.Dial {
	return func(ctx context.Context, network string, port uint16) (net.Conn, error) {
		return rpc.Privileged(func(local uint16) (net.Conn, error) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{Port: int(local)}, Control: reuse}
			return d.DialContext(ctx, network, netip.AddrPortFrom(server, port).String())
		})
	}
}

// reuse takes a port that an earlier connection left.
func reuse(_, _ string, c syscall.RawConn) (err error) {
	e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	return errors.Join(e, err)
}

// of is a target of one version, and a context for one thing.
func (a asker) of(v nfswalk.Version) (context.Context, context.CancelFunc, nfswalk.Target) {
	t := a.target
	t.Version = v
	ctx, cancel := context.WithTimeout(a.ctx, patience)
	return ctx, cancel, t
}

func (a asker) offers(v nfswalk.Version) Seen[bool] {
	ctx, cancel, t := a.of(v)
	defer cancel()
	err := nfswalk.Offers(ctx, a.dial, t)
	var refusal *rpc.Refusal
	switch {
	case err == nil:
		return seen(true)
	case errors.As(err, &refusal) && refusal.High != 0:
		return seen(false)
	}
	return unseen[bool](err.Error())
}

// three looks at what belongs to version 3.
func (a asker) three(n *NFS) {
	if !n.Three.Value {
		return
	}
	ctx, cancel, t := a.of(nfswalk.V3)
	defer cancel()
	list, err := nfswalk.Dump(ctx, a.dial, t)
	n.Programs = tried(list, err)
	exports, err := nfswalk.Exports(ctx, a.dial, t)
	n.Exports = tried(exports, err)
	if err != nil {
		n.Roots3.Because = err.Error()
		return
	}
	n.Roots3 = seen(map[string]nfswire.Handle{})
	for i, x := range exports {
		if i == maxExports {
			n.Trouble = append(n.Trouble, fmt.Sprintf("it exports more than %d directories; the others were left out", maxExports))
			return
		}
		t.Export = x.Path
		r := nfswalk.Walk(ctx, a.dial, t)
		switch err := r.Err(); {
		case err == nil:
			n.Roots3.Value[x.Path] = r.Root
		case errors.Is(err, nfswire.StatusAccess), errors.Is(err, nfswire.StatusNotOwner):
			n.Hidden = append(n.Hidden, x.Path)
		default:
			n.Trouble = append(n.Trouble, err.Error())
		}
	}
}

// four looks at what belongs to versions 4.
func (a asker) four(n *NFS) {
	if !n.Four.Value {
		return
	}
	ctx, cancel, t := a.of(nfswalk.V41)
	defer cancel()
	roots, r := nfswalk.Tree(ctx, a.dial, t)
	n.Identity = seen(Identity{r.Scope, r.Owner})
	if errors.Is(r.Err(), nfswire.StatusMinor) {
		n.Identity = unseen[Identity]("it does not offer NFSv4.1")
		t.Version = nfswalk.V40
		roots, r = nfswalk.Tree(ctx, a.dial, t)
	}
	if errors.Is(r.Err(), rpc.ErrMalformed) && nfswalk.Careless(ctx, a.dial, t) {
		n.Four, n.Identity = seen(false), Seen[Identity]{} // it takes every version for its own
		return
	}
	if err := r.Err(); err != nil {
		n.Trouble = append(n.Trouble, "NFSv4: "+err.Error())
		because := "NFSv4 does not answer as it should"
		n.Roots4.Because, n.Lease.Because, n.Identity.Because = because, because, because
		return
	}
	n.Roots4, n.Lease = seen(roots), seen(r.Lease)
}
