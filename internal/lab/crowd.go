package lab

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

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/crowd"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/topology"
)

const (
	crowdPort   = 2050   // of the service that the crowd uses; nothing answers there
	crowdOne    = 12_500 // connections of one process, which has one address: files and ports are scarce
	crowdBack   = 1 << 20
	crowdTime   = time.Minute      // to make the connections
	crowdResets = 10 * time.Second // until each must have been reset
	// crowdAddress is the first of the crowd's addresses: 192.168.10.201.
	crowdAddress = 201
)

// throng is many clients' idle connections with the virtual IP.
type throng struct {
	want      int
	sink      io.Closer
	processes []*topology.Process
	out       []*os.File

	mu   sync.Mutex // guards the following
	seen []crowd.Seen
}

// gather connects a crowd to nfs-01 through the director.
func (s *site) gather(ctx context.Context, connections int) (t *throng, err error) {
	t = &throng{want: connections}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("gather a crowd: %w", err), t.close())
		}
	}()
	err = s.servers[0].Do(func() (err error) {
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
	return t, t.await(ctx, crowdTime, func(c crowd.Seen) bool { return c.Connected == connections })
}

// join starts one process of the crowd, with an address of its own.
func (s *site) join(t *throng, connections int) error {
	i := len(t.processes)
	local := netip.AddrFrom4([4]byte{192, 168, 10, byte(crowdAddress + i)})
	if err := s.client.Address(netip.PrefixFrom(local, clientSpec.Addr.Bits())); err != nil {
		return err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer to.Close() // the process has its own
	t.out = append(t.out, from)
	cmd := exec.Command(s.opts.Program, "lab-crowd", "--service", netip.AddrPortFrom(vip, crowdPort).String(),
		"--local", local.String(), "--connections", strconv.Itoa(connections))
	p, err := s.start(s.client, cmd, to)
	if err != nil {
		return err
	}
	t.processes, t.seen = append(t.processes, p), append(t.seen, crowd.Seen{})
	go t.listen(i, from)
	return nil
}

// listen keeps what a process tells, until it ends.
func (t *throng) listen(i int, out io.Reader) {
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

// sum is what all processes have seen so far.
func (t *throng) sum() (all crowd.Seen) {
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

// await waits until the crowd has seen enough.
func (t *throng) await(ctx context.Context, limit time.Duration, enough func(crowd.Seen) bool) error {
	end, tick := time.NewTimer(limit), time.NewTicker(pollTime)
	defer end.Stop()
	defer tick.Stop()
	for !enough(t.sum()) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return fmt.Errorf("after %v the crowd of %d has seen %+v", limit, t.want, t.sum())
		case <-tick.C:
		}
	}
	return nil
}

func (t *throng) close() error {
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

// established counts the client's connections with the crowd's service that
// stand, as its kernel tells.
func (s *site) established() (n int, err error) {
	err = s.client.Do(func() error {
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

// gatherCrowd makes the crowd that the options ask for, and counts it.
func (r *run) gatherCrowd(ctx context.Context) (err error) {
	if r.throng, err = r.site.gather(ctx, r.opts.Crowd); err != nil {
		return err
	}
	c := &outcome.Crowd{Asked: r.opts.Crowd}
	if c.Before, err = r.site.established(); err != nil {
		return err
	}
	r.m.Crowd = c
	r.line("a crowd of %d connections stands", c.Before)
	return nil
}

// crowdReset waits until the crowd's connections were reset by a switch, which
// was decided on at an instant, and tells what that cost the director.
func (r *run) crowdReset(ctx context.Context, decided clock.Instant) error {
	c := r.m.Crowd
	err := r.throng.await(ctx, crowdResets, func(s crowd.Seen) bool { return s.Reset+s.Otherwise == c.Asked })
	if err := ctx.Err(); err != nil {
		return err
	}
	if err != nil {
		r.lineAt(clock.Now(), outcome.Red, "%v", err)
	}
	s := r.throng.sum()
	c.Reset, c.Otherwise = s.Reset, s.Otherwise
	if s.Last != 0 {
		c.Last = outcome.InMillis(s.Last.Since(decided))
		r.lineAt(s.Last, outcome.Plain, "%d of the crowd's connections are reset", s.Reset)
	}
	if c.After, err = r.site.established(); err != nil {
		return err
	}
	now, err := useOf(r.site.daemon.PID())
	c.CPU, c.Memory = *outcome.InMillis(now.cpu - r.used.cpu), now.memory
	return err
}
