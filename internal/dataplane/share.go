package dataplane

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/schedule"
)

// places is how many places a balanced director has, and how many turns at most.
const places = len(directorShares{}.Places)

// schedulerCodes are the schedulers as the programme knows them, by value.
var schedulerCodes = [...]directorScheduler{
	model.RoundRobin:       directorSchedulerSCHEDULE_TURNS,
	model.LeastConn:        directorSchedulerSCHEDULE_LEAST,
	model.Locality:         directorSchedulerSCHEDULE_LOCALITY,
	model.Replication:      directorSchedulerSCHEDULE_REPLICATION,
	model.Source:           directorSchedulerSCHEDULE_SOURCE,
	model.SrcDst:           directorSchedulerSCHEDULE_SRCDST,
	model.Dest:             directorSchedulerSCHEDULE_DEST,
	model.ShortestExpected: directorSchedulerSCHEDULE_SHORTEST,
	model.NeverQueue:       directorSchedulerSCHEDULE_NEVERQUEUE,
	model.Maglev:           directorSchedulerSCHEDULE_MAGLEV,
}

// poolOf is how a balanced director shares new connections. A server whose MAC is
// not known gets none, so that the others serve its clients meanwhile.
func poolOf(want model.DesiredDirector, at indices) (schedule.Pool, error) {
	var members []schedule.Member
	unknown := ""
	for _, srv := range want.Servers {
		switch {
		case srv.Weight == 0:
		case !srv.MAC.Known():
			unknown = srv.Name
		default:
			index := at.servers[model.ServerRef{Director: want.Name, Server: srv.Name}]
			members = append(members, schedule.Member{Name: srv.Name, Index: index, Weight: srv.Weight})
		}
	}
	if unknown != "" && len(members) == 0 {
		return schedule.Pool{}, fmt.Errorf("apply %s/%s: its MAC address is not known: it does not answer ARP", want.Name, unknown)
	}
	return schedule.NewPool(want.Scheduler, members, places, places), nil
}

// sharesOf is the pool in the programme's form.
func sharesOf(want model.DesiredDirector, at indices) (directorShares, error) {
	var s directorShares
	if !want.Balanced {
		return s, nil
	}
	pool, err := poolOf(want, at)
	if err != nil {
		return s, err
	}
	s.Scheduler = uint8(schedulerCodes[pool.Scheduler])
	s.Length, s.Count = uint16(len(pool.Turns)), uint8(len(pool.Members))
	for i, m := range pool.Members {
		s.Members[i] = m.Index
	}
	s.TemplateS = uint32((want.Persistence.Timeout + time.Second - 1) / time.Second)
	s.ClientMask = be(netip.AddrFrom4([4]byte(net.CIDRMask(want.Persistence.Bits, 32))))
	for _, srv := range want.Servers {
		if (srv.Weight > 0 || srv.Keeps) && srv.MAC.Known() {
			s.Keeping |= 1 << at.servers[model.ServerRef{Director: want.Name, Server: srv.Name}]
		}
	}
	copy(s.Turns[:], pool.Turns)
	copy(s.Places[:], pool.Places)
	return s, nil
}

// loads are the numbers of connections by which servers are chosen, by director and
// server.
type loads [maxDirectors * maxServers]int32

// load is where the programme counts the connections of a server.
func (m tables) load(i int) *int32 { return &m.state.Load.Conns[i] }

func (m tables) loads() loads {
	var now loads
	for i := range now {
		now[i] = atomic.LoadInt32(m.load(i))
	}
	return now
}

// correct brings the numbers to what a walk over the table found. They were before
// as given, and go on changing: what lies between before and now cannot be told
// from a change.
func (m tables) correct(before, found loads) {
	for i, n := range found {
		now := atomic.LoadInt32(m.load(i))
		low, high := min(before[i], now), max(before[i], now)
		switch {
		case n < low:
			atomic.AddInt32(m.load(i), n-low)
		case n > high:
			atomic.AddInt32(m.load(i), n-high)
		}
	}
}

// shed lists the loads of servers whose connections all become old with the next
// settings.
func (p *Plane) shed(next *directorSettings) []int {
	var all []int
	for i, s := range p.maps.settings().Servers {
		if s.Generation != next.Servers[i].Generation {
			all = append(all, i)
		}
	}
	return all
}

func (m tables) unload(which []int) {
	for _, i := range which {
		atomic.StoreInt32(m.load(i), 0)
	}
}

// recountEvery is how often the connections are counted, because races lose some.
const recountEvery = 9 * time.Second

// tendSoon has the connections aged and counted, and the templates tended, aside.
func (p *Plane) tendSoon(changed bool, limits model.Timeouts) {
	now := time.Now()
	if !changed && now.Sub(p.counted) < recountEvery || !p.weighing() || !p.tending.CompareAndSwap(false, true) {
		return
	}
	p.counted = now
	p.settling.Go(func() {
		defer p.tending.Store(false)
		if err := p.tend(limits); err != nil {
			p.options.Log.Error("the connection table cannot be tended", "error", err)
		}
	})
}

func (p *Plane) weighing() bool {
	for _, c := range p.maps.settings().Choices {
		if c.Flags&uint16(directorChoiceFlagsCHOICE_BALANCED) != 0 {
			return true
		}
	}
	return false
}

// recount walks the table and corrects the numbers of connections.
func (m tables) recount() {
	before := m.loads()
	var found loads
	for _, s := range m.all() {
		if m.weighs(s) {
			found[int(s.director())%maxDirectors*maxServers+int(s.server())]++
		}
	}
	m.correct(before, found)
}

// weighs tells whether a connection counts among those of its server.
func (m tables) weighs(s slot) bool {
	flags := m.settings().Choices[int(s.director())%maxDirectors].Flags
	return flags&uint16(directorChoiceFlagsCHOICE_BALANCED) != 0 && !s.ended() && !s.idle() && !m.old(s)
}
