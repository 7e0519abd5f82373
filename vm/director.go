package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"fairlead/internal/model"
)

// director is a system that leads the clients to one of two servers.
type director interface {
	name() string
	// start returns when nfs-01 serves the virtual IP.
	start(ctx context.Context, s *site) error
	// active tells which server has the clients, and when that was decided, if it
	// is known: else 0.
	active(ctx context.Context, s *site) (server string, decided int64, err error)
	// giveBack makes nfs-01 active again, which works again since the given instant.
	// It returns the instant at which that began.
	giveBack(ctx context.Context, s *site, since int64) (int64, error)
	stop(ctx context.Context, s *site) error
	log() string // the name of its log in the guest
}

// fairlead is the system under test, with the configuration of examples/nfs-ha.
type fairlead struct{}

func (fairlead) name() string { return "Fairlead" }
func (fairlead) log() string  { return "/run/fairlead.log" }

func (f fairlead) start(ctx context.Context, s *site) error {
	if _, err := s.run(ctx, "probe in director fairlead run -f /etc/fairlead >%s 2>&1 & director=$!", f.log()); err != nil {
		return err
	}
	// Most of it is the kernel's verifier, which an emulator runs slowly.
	return await(ctx, 150*time.Second, "Fairlead announces the virtual IP for nfs-01", func() (bool, error) {
		out, err := s.run(ctx, "kill -0 $director && { status=$(fairlead status --json 2>/dev/null) || status={}; echo \"$status\"; }")
		if err != nil {
			return false, fmt.Errorf("fairlead ended: %w", err)
		}
		status, err := readStatus(out)
		return len(status.Directors) == 1 && status.Directors[0].Applied == "nfs-01" &&
			len(status.Flows) == 1 && status.Flows[0].VIPs[0].State == model.VIPAnnounced, err
	})
}

func readStatus(text string) (status model.Status, err error) {
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return status, fmt.Errorf("read the status of fairlead: %w", err)
	}
	return status, nil
}

func (fairlead) status(ctx context.Context, s *site) (d model.DirectorStatus, err error) {
	out, err := s.run(ctx, "fairlead status --json")
	if err != nil {
		return d, err
	}
	status, err := readStatus(out)
	if err == nil && len(status.Directors) != 1 {
		err = fmt.Errorf("fairlead shows %d directors, want one", len(status.Directors))
	}
	if err != nil {
		return d, err
	}
	return status.Directors[0], nil
}

func (f fairlead) active(ctx context.Context, s *site) (string, int64, error) {
	d, err := f.status(ctx, s)
	if err != nil || d.LastSwitch == nil {
		return d.Applied, 0, err
	}
	return d.Applied, decision(*d.LastSwitch), nil
}

// decision is the instant from which new connections were held: what comes after
// it, hooks and all, is no detection any more. Without a hold it is the switch.
func decision(s model.Switch) int64 {
	if s.Held.IsZero() {
		return s.DecidedMono
	}
	return s.DecidedMono - int64(s.At.Sub(s.Held))
}

// giveBack waits until the check of nfs-01 passes, and orders the switch: a director
// of NFS never returns by itself.
func (f fairlead) giveBack(ctx context.Context, s *site, _ int64) (int64, error) {
	err := await(ctx, 30*time.Second, "nfs-01 passes its check", func() (bool, error) {
		d, err := f.status(ctx, s)
		for _, server := range d.Servers {
			if server.Name == "nfs-01" {
				return server.Health == model.HealthUp, err
			}
		}
		return false, err
	})
	if err != nil {
		return 0, err
	}
	i, err := s.at(ctx, "fairlead switch nfs/nfs-01")
	return i.Before, err
}

func (fairlead) stop(ctx context.Context, s *site) error {
	_, err := s.run(ctx, "kill $director; wait $director; fairlead detach")
	return err
}

// ipvs is keepalived with the kernel's IPVS, set as the application note sets it.
type ipvs struct{}

func (ipvs) name() string { return "keepalived + IPVS" }
func (ipvs) log() string  { return "/run/keepalived.log" }

func (i ipvs) start(ctx context.Context, s *site) error {
	if _, err := s.run(ctx, "ipvs_up"); err != nil {
		return err
	}
	return await(ctx, 30*time.Second, "keepalived uses nfs-01", func() (bool, error) {
		server, _, err := i.active(ctx, s)
		return server == "nfs-01", err
	})
}

func (ipvs) active(ctx context.Context, s *site) (string, int64, error) {
	out, err := s.run(ctx, "probe in director ipvsadm -L -n")
	switch {
	case strings.Contains(out, "192.168.10.100:"):
		return "nfs-01", 0, err
	case strings.Contains(out, "192.168.10.101:"):
		return "nfs-02", 0, err
	}
	return "", 0, err
}

// giveBack waits: keepalived returns to nfs-01 by itself, as soon as its check passes.
func (i ipvs) giveBack(ctx context.Context, s *site, since int64) (int64, error) {
	return since, await(ctx, 40*time.Second, "keepalived uses nfs-01 again", func() (bool, error) {
		server, _, err := i.active(ctx, s)
		return server == "nfs-01", err
	})
}

func (ipvs) stop(ctx context.Context, s *site) error {
	_, err := s.run(ctx, "ipvs_down")
	return err
}
