package probe

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// BenchmarkThousands probes 2,000 servers five times a second over loopback. Of
// each round it tells how many probes began in 10 ms (evenly: 100), how late they
// were by their schedules, and the CPU time of the probes and the servers together.
func BenchmarkThousands(b *testing.B) {
	const (
		n, interval, long = 2000, 200 * time.Millisecond, 4 * time.Second
		bucket            = 10 * time.Millisecond
	)
	for range b.N {
		before := cpuTime(b)
		begun, failed := round(b, n, interval, long)
		cpu := cpuTime(b) - before
		counts := histogram(begun, bucket, interval, long-interval)
		slices.Sort(counts)
		b.ReportMetric(float64(counts[0]), "least/10ms")
		b.ReportMetric(float64(counts[len(counts)/20]), "p5/10ms")
		b.ReportMetric(float64(counts[len(counts)/2]), "median/10ms")
		b.ReportMetric(float64(counts[len(counts)*19/20]), "p95/10ms")
		b.ReportMetric(float64(counts[len(counts)-1]), "most/10ms")
		total, late := lateness(begun, interval)
		b.ReportMetric(float64(total)/long.Seconds(), "probes/s")
		b.ReportMetric(late[len(late)/2].Seconds()*1e3, "median-late-ms")
		b.ReportMetric(late[len(late)*99/100].Seconds()*1e3, "p99-late-ms")
		b.ReportMetric(cpu.Seconds()/long.Seconds(), "CPUs")
		b.ReportMetric(float64(failed), "failed")
	}
}

// round probes n targets with the real connect.
func round(b *testing.B, n int, interval, long time.Duration) (begun map[model.ServerRef][]time.Duration, failed int) {
	b.Helper()
	addr := acceptAll(b)
	targets := crowd(n, interval)
	for i := range targets {
		targets[i].Addr = addr.Addr()
		targets[i].Tests = []model.Test{{Kind: model.CheckTCP, Port: addr.Port()}}
	}
	h := history{begun: make(map[model.ServerRef][]time.Duration)}
	results := make(chan model.ProbeResult, 64)
	p := New(results, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(b.Context())
	defer time.AfterFunc(long, cancel).Stop()
	start := time.Now()
	p.put = func(ctx context.Context, q question) error {
		at := time.Since(start)
		h.mu.Lock()
		h.begun[q.ref] = append(h.begun[q.ref], at)
		h.mu.Unlock()
		return put(ctx, q)
	}
	p.Set(targets)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for {
		select {
		case r := <-results:
			if !r.OK {
				failed++
			}
		case <-ended:
			return h.begun, failed
		}
	}
}

// acceptAll is the address of a server that closes every connection.
func acceptAll(b *testing.B) netip.AddrPort {
	b.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // the benchmark has ended
			}
			conn.Close()
		}
	}()
	return netip.MustParseAddrPort(ln.Addr().String())
}

// lateness is by how much each probe came after its slot, sorted, where the
// earliest of each server tells its schedule.
func lateness(begun map[model.ServerRef][]time.Duration, interval time.Duration) (total int, late []time.Duration) {
	for _, all := range begun {
		earliest := all[0]
		for i, at := range all {
			earliest = min(earliest, at-time.Duration(i)*interval)
		}
		for i, at := range all {
			late = append(late, at-time.Duration(i)*interval-earliest)
		}
	}
	slices.Sort(late)
	return len(late), late
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
