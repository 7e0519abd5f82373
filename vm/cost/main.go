// Command cost counts the instructions that a packet takes on its way through a
// director: through Fairlead, and through what the kernel has itself. All run in
// the same virtual machine, whose clock counts instructions, so the figures can be
// repeated on a busy machine. It prints a table; see docs/performance.md.
//
// Instructions are no nanoseconds: a miss of a cache costs as much as a hundred of
// them, and nothing here misses. The benchmark tells what time it takes.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"fairlead/vm/boot"
	"fairlead/vm/machine"
)

//go:embed guest
var guest embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

const (
	connections = 1000
	packets     = 20_000
	limit       = 15 * time.Minute
)

// way is one way through the machine.
type way struct {
	name  string
	setUp string // a function of guest/site.sh
	vip   string // "": that of the director with one server
	drops bool   // nothing comes back
	ready bool   // it has to be waited for
}

var ways = []way{
	{name: "XDP_DROP", setUp: "xdp drop", drops: true}, // what the others are compared with
	{name: "XDP_TX", setUp: "xdp tx"},
	{name: "Fairlead, active/passive", setUp: "fairlead_", ready: true},
	{name: "Fairlead, two servers", setUp: "fairlead_", vip: "192.168.10.51", ready: true},
	{name: "the kernel's routing (ip_forward)", setUp: "forward"},
	{name: "IPVS, direct routing", setUp: "ipvs"},
	{name: "IPVS, firewall mark and persistence", setUp: "marked", vip: "192.168.10.52"},
}

var protocols = []string{"tcp", "udp"}

// run measures everything and prints the table.
func run(ctx context.Context, out, words io.Writer) (err error) {
	began := time.Now()
	progress := func(text string) { fmt.Fprintf(words, "%3.0f s  %s\n", time.Since(began).Seconds(), text) }
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "fairlead-cost-")
	if err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files := map[string][]byte{}
	if err := errors.Join(
		boot.Add(files, guest, "guest", ""),
		boot.Add(files, guest, "guest/fairlead", "etc/fairlead/")); err != nil {
		return err
	}
	m, release, err := boot.Start(ctx, boot.Plan{
		Cache: "vm/.cache", Dir: dir, Files: files,
		Programs: map[string]string{"fairlead": "fairlead/cmd/fairlead", "probe": "fairlead/vm/probe", "meter": "fairlead/vm/cost/meter"},
		Memory:   640, CPUs: 1, Counted: true, Progress: progress,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	found, err := measure(ctx, m, progress)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, m.Logs(20))
	}
	_, err = io.WriteString(out, table(release, found))
	return err
}

// measured is what one way costs, by protocol: each of the two runs, in
// instructions for a packet.
type measured map[string][2]float64

func measure(ctx context.Context, m *machine.Machine, progress func(string)) ([]measured, error) {
	if _, err := m.Run(ctx, "segment"); err != nil {
		return nil, err
	}
	found := make([]measured, len(ways))
	for i, w := range ways {
		progress(w.name)
		if _, err := m.Run(ctx, w.setUp); err != nil {
			return nil, fmt.Errorf("set up %s: %w", w.name, err)
		}
		if w.ready {
			if err := await(ctx, m); err != nil {
				return nil, err
			}
		}
		found[i] = measured{}
		for _, protocol := range protocols {
			var runs [2]float64
			for n := range runs {
				var err error
				if runs[n], err = once(ctx, m, w, protocol); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", w.name, protocol, err)
				}
			}
			found[i][protocol] = runs
		}
		if _, err := m.Run(ctx, "none"); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// await waits until Fairlead forwards. Its programme is verified slowly here.
func await(ctx context.Context, m *machine.Machine) error {
	_, err := m.Run(ctx, `await 120 sh -c 'fairlead status --json 2>/dev/null | grep -q "\"applied\": *\"nfs-01\""' || { cat /run/fairlead.log; false; }`)
	if err != nil {
		return fmt.Errorf("wait for Fairlead: %w", err)
	}
	return nil
}

// once sends the packets, and returns the instructions that each took. All of them
// must have come back, or none, if they are dropped.
func once(ctx context.Context, m *machine.Machine, w way, protocol string) (float64, error) {
	vip := w.vip
	if vip == "" {
		vip = "192.168.10.50"
	}
	out, err := m.Run(ctx, fmt.Sprintf("packets %s %s %d %d", vip, protocol, connections, packets))
	if err != nil {
		return 0, err
	}
	var r struct {
		Sent     int   `json:"sent"`
		Received int   `json:"received"`
		Time     int64 `json:"ns"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return 0, fmt.Errorf("read what was measured from %q: %w", out, err)
	}
	want := r.Sent
	if w.drops {
		want = 0
	}
	// A director asks and tells its neighbours something now and then.
	if r.Received < want || r.Received > want+10 {
		return 0, fmt.Errorf("%d packets were sent, and %d came back, want %d", r.Sent, r.Received, want)
	}
	return float64(r.Time) / float64(r.Sent), nil
}

// table is the result, in Markdown: instructions above those of the first way.
func table(release string, found []measured) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Linux %s, instructions for each packet above XDP_DROP; %d connections, %d packets.\n\n", release, connections, packets)
	fmt.Fprintf(&b, "| way of the packet | TCP, in the middle of a connection | UDP | two runs differ by |\n|---|---|---|---|\n")
	for i, w := range ways[1:] {
		var cells []string
		worst := 0.0
		for _, p := range protocols {
			runs, floor := found[i+1][p], found[0][p]
			cells = append(cells, fmt.Sprintf("%.0f", min(runs[0], runs[1])-min(floor[0], floor[1])))
			worst = max(worst, (max(runs[0], runs[1])-min(runs[0], runs[1]))/min(runs[0], runs[1]))
		}
		fmt.Fprintf(&b, "| %s | %s | %.2f %% |\n", w.name, strings.Join(cells, " | "), 100*worst)
	}
	return b.String()
}
