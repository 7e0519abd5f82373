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
