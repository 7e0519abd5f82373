package probe

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// BenchmarkThousands probes 2,000 servers five times a second over loopback. Of
// each round it tells how many probes began in 10 ms (evenly: 100), how late they
// were by their schedules, and the CPU time of the probes.
func BenchmarkThousands(b *testing.B) {
	const (
		n, interval, long = 2000, 200 * time.Millisecond, 4 * time.Second
		bucket            = 10 * time.Millisecond
	)
	ports := serveCrowd(b)
	targets := crowd(n, interval)
	for i := range targets {
		targets[i].Addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		targets[i].Tests = []model.Test{{Kind: model.CheckTCP, Port: ports.silent}}
	}
	for range b.N {
		before := cpuTime(b)
		begun, failed := checkAll(b, targets, long)
		cpu := cpuTime(b) - before
		counts := histogram(begun, bucket, interval, long-interval)
		slices.Sort(counts)
		b.ReportMetric(float64(counts[0]), "least/10ms")
		b.ReportMetric(float64(counts[len(counts)/20]), "p5/10ms")
		b.ReportMetric(float64(counts[len(counts)/2]), "median/10ms")
		b.ReportMetric(float64(counts[len(counts)*19/20]), "p95/10ms")
		b.ReportMetric(float64(counts[len(counts)-1]), "most/10ms")
		total, late := lateness(begun, targets)
		b.ReportMetric(float64(total)/long.Seconds(), "probes/s")
		b.ReportMetric(late[len(late)/2].Seconds()*1e3, "median-late-ms")
		b.ReportMetric(late[len(late)*99/100].Seconds()*1e3, "p99-late-ms")
		b.ReportMetric(cpu.Seconds()/long.Seconds(), "CPUs")
		b.ReportMetric(float64(failed), "failed")
	}
}

// lateness is by how much each probe came after its slot, sorted. The targets enter
// their schedules evenly over an interval, in their order, and the earliest probe of all
// tells when the first did.
func lateness(begun map[model.ServerRef][]time.Duration, targets []Target) (total int, late []time.Duration) {
	for rank, t := range targets {
		slot := entryOf(t, rank, len(targets), 0, time.Time{}).first.Sub(time.Time{})
		for i, at := range begun[t.Ref] {
			late = append(late, at-slot-time.Duration(i)*t.Interval)
		}
	}
	slices.Sort(late)
	for i, first := len(late)-1, late[0]; i >= 0; i-- {
		late[i] -= first
	}
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
