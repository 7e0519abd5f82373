package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/lab/crowd"
	"fairlead/internal/topology"
)

const (
	crowdPort = 2050    // of the service that the crowd uses; nothing answers there
	crowdOne  = 12_500  // connections of one process, which has one address: files and ports are scarce
	crowdBack = 1 << 20 // connections that wait in the server's queue
	crowdTime = time.Minute
	// crowdAddress is the first of the crowd's addresses: 192.168.10.201.
	crowdAddress = 201
)

// Throng is many clients' idle connections with the virtual IP.
type Throng struct {
	want      int
	sink      io.Closer
	processes []*topology.Process
	out       []*os.File

	mu   sync.Mutex   // guards the following
	seen []crowd.Seen // by process
}

// Gather connects a crowd to nfs-01 through the director.
func (s *Site) Gather(ctx context.Context, connections int) (t *Throng, err error) {
	t = &Throng{want: connections}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("gather a crowd: %w", err), t.Close())
		}
	}()
	err = s.Servers[0].Do(func() (err error) {
		if err := os.WriteFile("/proc/sys/net/core/somaxconn", []byte(strconv.Itoa(crowdBack)), 0); err != nil {
			return err
		}
		t.sink, err = crowd.Listen(crowdPort, crowdBack)
		return err
	})
	for made := 0; made < connections && err == nil; made += crowdOne {
		err = s.join(t, min(crowdOne, connections-made))
	}
	if err != nil {
		return t, err
	}
	return t, t.Await(ctx, crowdTime, func(c crowd.Seen) bool { return c.Connected == connections })
}

// join starts one process of the crowd, with an address of its own.
func (s *Site) join(t *Throng, connections int) error {
	i := len(t.processes)
	local := netip.AddrFrom4([4]byte{192, 168, 10, byte(crowdAddress + i)})
	if err := s.Client.Address(netip.PrefixFrom(local, ClientSpec.Addr.Bits())); err != nil {
		return err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer to.Close() // the process has its own
	t.out = append(t.out, from)
	cmd := exec.Command(s.opts.Program, "lab-crowd", "--service", netip.AddrPortFrom(VIP, crowdPort).String(),
		"--local", local.String(), "--connections", strconv.Itoa(connections))
	p, err := s.start(s.Client, cmd, to)
	if err != nil {
		return err
	}
	t.processes, t.seen = append(t.processes, p), append(t.seen, crowd.Seen{})
	go t.listen(i, from)
	return nil
}

// listen keeps what a process tells, until it ends.
func (t *Throng) listen(i int, out io.Reader) {
	for d := json.NewDecoder(out); ; {
		var s crowd.Seen
		if d.Decode(&s) != nil {
			return
		}
		t.mu.Lock()
		t.seen[i] = s
		t.mu.Unlock()
	}
}

// Seen is what all processes have seen so far.
func (t *Throng) Seen() (all crowd.Seen) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.seen {
		all.Connected += s.Connected
		all.Reset += s.Reset
		all.Otherwise += s.Otherwise
		all.Last = max(all.Last, s.Last)
	}
	return all
}

// Await waits until the crowd has seen enough.
func (t *Throng) Await(ctx context.Context, limit time.Duration, enough func(crowd.Seen) bool) error {
	end, tick := time.NewTimer(limit), time.NewTicker(pollTime)
	defer end.Stop()
	defer tick.Stop()
	for !enough(t.Seen()) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return fmt.Errorf("after %v the crowd of %d has seen %+v", limit, t.want, t.Seen())
		case <-tick.C:
		}
	}
	return nil
}

// Close ends the processes and the connections.
func (t *Throng) Close() error {
	var errs []error
	for _, p := range t.processes {
		errs = append(errs, p.Stop(stopTime))
	}
	for _, f := range t.out {
		errs = append(errs, f.Close())
	}
	if t.sink != nil {
		errs = append(errs, t.sink.Close())
	}
	return errors.Join(errs...)
}

// Established counts the client's connections with the crowd's service that
// stand, as its kernel tells.
func (s *Site) Established() (n int, err error) {
	err = s.Client.Do(func() error {
		all, err := netlink.SocketDiagTCP(unix.AF_INET)
		for _, c := range all {
			if c.State == netlink.TCP_ESTABLISHED && c.ID.DestinationPort == crowdPort {
				n++
			}
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count the client's connections: %w", err)
	}
	return n, nil
}
