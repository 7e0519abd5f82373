package site

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// StartDirector starts the director's programme and waits until it forwards the
// virtual IP to the first server. When somebody is to configure it, it starts
// without a configuration, and its visitor does that.
func (s *Site) StartDirector(ctx context.Context) error {
	if !s.opts.Visited {
		return s.Launch(ctx, forwards)
	}
	if err := s.launch(ctx, func(model.Status) error { return nil }); err != nil {
		return err
	}
	return s.configure(ctx)
}

// Launch starts the director's programme and waits until nothing about its
// status is objected to.
func (s *Site) Launch(ctx context.Context, objection func(model.Status, model.DirectorStatus) error) error {
	return s.launch(ctx, func(st model.Status) error {
		d, err := DirectorOf(st)
		if err != nil {
			return err
		}
		return objection(st, d)
	})
}

func (s *Site) launch(ctx context.Context, objection func(model.Status) error) (err error) {
	s.Control = api.NewClient(s.Socket())
	cmd := exec.Command(s.opts.Program, "run", "-f", s.config(),
		"--socket", s.Socket(), "--state-dir", s.state(), "--pin-dir", s.pins(), "--attach", s.opts.XDP.String())
	if s.opts.Crowd > 0 {
		cmd.Args = append(cmd.Args, "--connections", strconv.Itoa(s.opts.Crowd+crowdMore))
	}
	s.Daemon, err = s.start(s.Director, cmd)
	if err != nil {
		return err
	}
	return s.ready(ctx, s.Director, s.Daemon, func(ctx context.Context) error {
		st, err := s.Control.Status(ctx)
		if err != nil {
			return err
		}
		return objection(st)
	})
}

// forwards tells, as an objection, why the director does not forward yet.
func forwards(st model.Status, d model.DirectorStatus) error {
	if first := ServerSpecs[0].Name; d.Applied != first {
		return fmt.Errorf("the director forwards to %q, not to %s: %s", d.Applied, first, d.Why)
	}
	// The second server's address must be known too, or the switch has to wait
	// for it: that would measure the start, not the switch.
	for _, srv := range d.Servers {
		if !srv.MAC.Known() {
			return fmt.Errorf("the MAC of %s is not known yet", srv.Name)
		}
		if srv.Health == model.HealthUnknown {
			return fmt.Errorf("the check of %s has no result yet", srv.Name)
		}
	}
	for _, f := range st.Flows {
		for _, v := range f.VIPs {
			if v.State != model.VIPAnnounced {
				return fmt.Errorf("virtual IP %v is %s: %s", v.Addr, v.State, v.Why)
			}
		}
	}
	return nil
}

// Status is the director's.
func (s *Site) Status(ctx context.Context) (model.DirectorStatus, error) {
	st, err := s.Control.Status(ctx)
	if err != nil {
		return model.DirectorStatus{}, fmt.Errorf("ask the director: %w", err)
	}
	return DirectorOf(st)
}

// Await waits until nothing about the director's status is objected to.
func (s *Site) Await(ctx context.Context, limit time.Duration, objection func(model.DirectorStatus) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		d, err := s.Status(ctx)
		if err == nil {
			err = objection(d)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the director: %w", err)
		case <-tick.C:
		}
	}
}

// Fence gives the director a hook that keeps a server from writing, which takes
// some time here and does nothing. The director reads its configuration again.
func (s *Site) Fence(ctx context.Context, takes time.Duration) error {
	const file = "l4.cfg"
	script, path := fmt.Sprintf("#!/bin/sh\nexec sleep %.3f\n", takes.Seconds()), filepath.Join(s.dir, "fence")
	text := s.opts.Config[file] + fmt.Sprintf("hook fence %s timeout %d\n", path, int(startTime.Seconds()))
	err := os.WriteFile(path, []byte(script), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.config(), file), []byte(text), 0o600)
	}
	if err == nil {
		_, err = s.Control.Reload(ctx)
	}
	if err != nil {
		return fmt.Errorf("give the director a fence hook: %w", err)
	}
	return nil
}

// DirectorName is the name of the one director of the note's configuration.
const DirectorName = "nfs"

// crowdMore is the room in the director's table beside a crowd.
const crowdMore = 10_000

// DirectorOf is the director's part of a status.
func DirectorOf(st model.Status) (model.DirectorStatus, error) {
	for _, d := range st.Directors {
		if d.Name == DirectorName {
			return d, nil
		}
	}
	return model.DirectorStatus{}, fmt.Errorf("the status has no director %q", DirectorName)
}

// Attached is where the director's programme hangs.
func Attached(st model.Status) string {
	for _, i := range st.Interfaces {
		if i.Name == topology.HostIface {
			return i.Applied
		}
	}
	return ""
}

// lastSwitch is the director's last switch, nil when there was none beyond an
// epoch.
func (s *Site) lastSwitch(ctx context.Context, beyond uint64) (*model.Switch, error) {
	d, err := s.Status(ctx)
	if err != nil || d.LastSwitch == nil || d.LastSwitch.Epoch <= beyond {
		return nil, err
	}
	return d.LastSwitch, nil
}

// AwaitSwitch waits for a switch beyond an epoch, and until its resets are sent.
// It returns what is known of it when time is up: nil means that there was none.
// Meanwhile it calls waiting now and then, and decided once.
func (s *Site) AwaitSwitch(ctx context.Context, beyond uint64, limit time.Duration, waiting func(), decided func(model.Switch)) (*model.Switch, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick, slow := time.NewTicker(pollTime), time.NewTicker(tellTime)
	defer tick.Stop()
	defer slow.Stop()
	var last *model.Switch
	for {
		sw, err := s.lastSwitch(ctx, beyond)
		switch {
		case err != nil && ctx.Err() == nil && !isTimeout(err):
			return last, err
		case sw != nil:
			if last == nil {
				decided(*sw)
			}
			last = sw
			if sw.ResetMono != 0 {
				return last, nil
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return last, ctx.Err()
			}
			return last, nil
		case <-s.Daemon.Done():
			return last, fmt.Errorf("the director's programme ended: %w; it printed:\n%s", s.Daemon.Err(), s.tail(s.Director))
		case <-slow.C:
			waiting()
		case <-tick.C:
		}
	}
}

// isTimeout tells whether one question to a busy director took too long.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
