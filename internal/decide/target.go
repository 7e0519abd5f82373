package decide

import (
	"net/netip"
	"time"

	"fairlead/internal/health"
	"fairlead/internal/model"
)

// Target is a server to probe.
type Target struct {
	Ref      model.ServerRef
	Addr     netip.Addr
	Tests    []model.Test    // with their ports; shared, never changed
	Via      []model.VIPTest // those that are also made at a virtual IP; shared, never changed
	Source   netip.Addr      // invalid: the kernel's choice
	Interval time.Duration   // from the start of one probe to the start of the next
	Timeout  time.Duration
	Advisory bool // the results are shown, they decide nothing
}

// Targets are the servers to probe: those that are checked and, so that people
// see its state, an unchecked one while it is active or about to be.
func (s State) Targets() []Target {
	var all []Target
	for _, d := range s.directors {
		for i := range d.servers {
			srv := &d.servers[i]
			unchecked := srv.health.Level == model.HealthUnchecked
			verified := d.turn.step == model.StepVerify && d.turn.to.Name == srv.Name
			if len(srv.tests) == 0 || unchecked && d.active() != srv && !verified {
				continue
			}
			all = append(all, Target{
				Ref:      d.ref(srv.Name),
				Addr:     srv.Addr,
				Tests:    srv.tests,
				Via:      srv.via,
				Source:   d.Check.Source,
				Interval: health.Interval(d.Check),
				Timeout:  health.Timeout(d.Check),
				Advisory: unchecked,
			})
		}
	}
	return all
}

// SyncTarget is a director whose standby servers' copies are to be measured.
type SyncTarget struct {
	Director string
	Sync     model.Sync
	Source   netip.Addr   // invalid: the kernel's choice
	Active   model.Server // what the copies are compared with
	Standbys []model.Server
}

// SyncTargets are those of all directors. While a switch is under way nothing is
// measured: the server that is left is perhaps being fenced.
func (s State) SyncTargets() []SyncTarget {
	var all []SyncTarget
	for i := range s.directors {
		d := &s.directors[i]
		now := d.active()
		if d.Sync.Off() || now == nil || d.turn.step != model.StepNone {
			continue
		}
		t := SyncTarget{Director: d.Name, Sync: d.Sync, Source: d.Check.Source, Active: now.Server}
		for _, srv := range d.servers {
			if d.standsBy(srv.Name) {
				t.Standbys = append(t.Standbys, srv.Server)
			}
		}
		if len(t.Standbys) > 0 {
			all = append(all, t)
		}
	}
	return all
}
