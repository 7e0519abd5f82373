package api

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/model"
)

// wallSize is a large site: 10,000 flows and 50 directors of 20 servers.
func wallSize() model.Status {
	s := someStatus()
	for i := range 10000 {
		name := fmt.Sprint("flow-", i)
		s.Flows = append(s.Flows, model.FlowStatus{Name: name, Policy: model.PolicyDirector, Director: fmt.Sprint("director-", i%50), Applied: true,
			VIPs:     []model.VIPStatus{{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), State: model.VIPAnnounced}},
			Total:    model.Counter{Packets: uint64(i), Bytes: uint64(i) * 100},
			Verdicts: map[string]model.Counter{"forward": {Packets: uint64(i), Bytes: uint64(i) * 100}, "arp-reply": {Packets: 1, Bytes: 60}}})
	}
	for i := range 50 {
		d := s.Directors[0]
		d.Name, d.Servers = fmt.Sprint("director-", i), nil
		for j := range 20 {
			d.Servers = append(d.Servers, model.ServerStatus{Name: fmt.Sprint("server-", j), Addr: netip.AddrFrom4([4]byte{10, 2, byte(i), byte(j)}),
				Port: 2049, Weight: 10, Health: model.HealthUp, Since: noon})
		}
		s.Directors = append(s.Directors, d)
	}
	return s
}

// counted is a status after that many of its flows, and a tenth as many servers,
// have counted. Nothing is shared that differs, as the agent does it.
func counted(s model.Status, flows int, turn uint64) model.Status {
	old := s
	s.At, s.Turned = noon.Add(time.Duration(turn)*time.Second), noon.Add(time.Duration(turn)*time.Second)
	s.Flows = make([]model.FlowStatus, len(old.Flows))
	for i, f := range old.Flows {
		verdicts := make(map[string]model.Counter, len(f.Verdicts))
		for k, v := range f.Verdicts {
			verdicts[k] = v
		}
		f.VIPs = append([]model.VIPStatus(nil), f.VIPs...)
		if i < flows {
			f.Total = f.Total.Add(model.Counter{Packets: turn + 1, Bytes: 100})
			verdicts["forward"] = f.Total
		}
		f.Verdicts = verdicts
		s.Flows[i] = f
	}
	s.Directors = make([]model.DirectorStatus, len(old.Directors))
	left := flows / 10
	for i, d := range old.Directors {
		d.Servers = append([]model.ServerStatus(nil), d.Servers...)
		for j := range d.Servers {
			if left--; left >= 0 {
				d.Servers[j].Total.Packets += turn + 1
				d.Servers[j].LastProbe, d.Servers[j].Latency = s.At, time.Duration(turn)
			}
		}
		s.Directors[i] = d
	}
	return s
}

// BenchmarkTick is one update of the stream without its viewers: what is live
// composed, compared and written as a patch.
func BenchmarkTick(b *testing.B) {
	for _, size := range []struct {
		name  string
		flows int
	}{{"nothing", 0}, {"quiet", 300}, {"busy", 2000}, {"all", 10000}} {
		b.Run(size.name, func(b *testing.B) {
			base := wallSize()
			turns := [2]model.Status{counted(base, size.flows, 1), counted(base, size.flows, 2)}
			var p patcher
			now, bytes := newLive(turns[0]), 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				after := newLive(turns[(i+1)%2])
				patch, err := p.difference(now, after)
				if err != nil {
					b.Fatal(err)
				}
				now, bytes = after, len(patch)
			}
			b.ReportMetric(float64(bytes), "patch-bytes")
		})
	}
}

// BenchmarkFirst is the whole that a new viewer gets.
func BenchmarkFirst(b *testing.B) {
	base, bytes := wallSize(), 0
	for b.Loop() {
		frame, err := newPicture(base).first()
		if err != nil {
			b.Fatal(err)
		}
		bytes = len(frame)
	}
	b.ReportMetric(float64(bytes), "bytes")
}

// turning is a daemon whose counters move each time that it is asked.
type turning struct {
	*wholeDaemon
	turns [2]model.Status
	turn  atomic.Int64
}

func (d *turning) Status() model.Status { return d.turns[d.turn.Add(1)%2] }

// BenchmarkTenViewers measures the processor time that ten viewers on real
// connections take in a second of the quiet case, their own reading included: not
// b.N runs, but one of some seconds.
func BenchmarkTenViewers(b *testing.B) {
	base := wallSize()
	d := &turning{wholeDaemon: newWholeDaemon(), turns: [2]model.Status{counted(base, 300, 1), counted(base, 300, 2)}}
	s := httptest.NewServer(NewHandler(d, quiet, func(*http.Request) model.Actor { return model.Actor{Role: model.RoleViewer} }))
	defer s.Close()
	var patches atomic.Int64
	for range 10 {
		answered, err := s.Client().Get(s.URL + "/api/v1/stream")
		if err != nil {
			b.Fatal(err)
		}
		defer answered.Body.Close()
		r := bufio.NewReaderSize(answered.Body, 1<<20)
		for range 4 { // retry, event, data, and the empty line of the whole
			if _, err := r.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
		}
		go func() {
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if string(line) == "event: patch\n" {
					patches.Add(1)
				}
			}
		}()
	}
	before, start := processorTime(b), time.Now()
	for patches.Load() < 100 {
		time.Sleep(100 * time.Millisecond)
	}
	spent, took := processorTime(b)-before, time.Since(start)
	b.ReportMetric(100*spent.Seconds()/took.Seconds(), "%core")
	b.ReportMetric(float64(patches.Load())/took.Seconds()/10, "patches/s")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
