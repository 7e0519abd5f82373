package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/dataplane"
	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/site"
	"fairlead/internal/lab/workload"
	"fairlead/internal/model"
	"fairlead/internal/nfs"
	"fairlead/internal/nfsd"
)

// program builds the real programme, once for all tests.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programDir(), "fairlead")
	cmd := exec.Command("go", "build", "-o", path, "fairlead/cmd/fairlead")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

// programDir is where it is built; TestMain removes it.
func programDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("fairlead-test-%d", os.Getpid()))
}

// realOptions runs the real director on the note's configuration.
func realOptions(t *testing.T, f outcome.Fault, b outcome.Backend, x model.AttachMode, c outcome.Timing) Options {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	return Options{Fault: f, NFS: b, XDP: x, Check: c, Config: note, Program: must[string](t)(program()), AttachPass: dataplane.AttachPass, AttachUnwrap: dataplane.AttachUnwrap}
}

// TestNoteVerbatim runs two scenarios three times each, with the note's own check
// every ten seconds: machines are noisy, so the median must pass.
func TestNoteVerbatim(t *testing.T) {
	for _, f := range []outcome.Fault{outcome.Kill, outcome.Link} {
		t.Run(f.String(), func(t *testing.T) {
			var rest []outcome.Millis
			for range 3 {
				r := once(t, realOptions(t, f, outcome.Embedded, model.AttachNative, outcome.Note))
				if !r.Passed && !r.OnlyLate || r.StallAfter == nil {
					t.Fatalf("did not pass: %q", r.Reasons)
				}
				t.Logf("detection %v ms, stall less detection %v ms", *r.Detection, *r.StallAfter)
				rest = append(rest, *r.StallAfter)
			}
			slices.Sort(rest)
			if rest[1] > 250 {
				t.Errorf("stalls less detection: %v, want a median of 250 ms or less", rest)
			}
		})
	}
}

// TestScenarios runs every fault, kind of server and way to attach, with a
// faster check.
func TestScenarios(t *testing.T) {
	type scenario struct {
		fault outcome.Fault
		nfs   outcome.Backend
		xdp   model.AttachMode
	}
	var all []scenario
	for _, f := range outcome.Faults() {
		if f != outcome.Link { // see TestNoteVerbatim, and below
			all = append(all, scenario{f, outcome.Embedded, model.AttachNative})
		}
	}
	all = append(all, scenario{outcome.Link, outcome.Embedded, model.AttachGeneric}, scenario{outcome.Link, outcome.Embedded, model.AttachTCX})
	for _, f := range outcome.Faults() {
		all = append(all, scenario{f, outcome.Ganesha, model.AttachNative})
	}
	for _, s := range all {
		t.Run(fmt.Sprintf("%v %v %v", s.fault, s.nfs, s.xdp), func(t *testing.T) {
			passes(t, realOptions(t, s.fault, s.nfs, s.xdp, outcome.Fast))
		})
	}
}

// TestIPv6 runs the diagram with no IPv4 address anywhere.
func TestIPv6(t *testing.T) {
	for _, s := range []struct {
		fault outcome.Fault
		nfs   outcome.Backend
		xdp   model.AttachMode
	}{
		{outcome.Kill, outcome.Embedded, model.AttachNative},
		{outcome.Link, outcome.Embedded, model.AttachGeneric},
		{outcome.BlackHole, outcome.Embedded, model.AttachTCX},
		{outcome.NoVIP, outcome.Embedded, model.AttachNative},
		{outcome.Planned, outcome.Embedded, model.AttachNative},
	} {
		t.Run(fmt.Sprintf("%v %v %v", s.fault, s.nfs, s.xdp), func(t *testing.T) {
			o := realOptions(t, s.fault, s.nfs, s.xdp, outcome.Fast)
			o.Six = true
			passes(t, o)
		})
	}
}

// TestTunnel runs mode tunnel, with the servers behind a router: by native XDP, where
// every frame is one that the cable takes, and by tcx, which also wraps large ones that are cut later.
func TestTunnel(t *testing.T) {
	for _, s := range []struct {
		fault outcome.Fault
		xdp   model.AttachMode
	}{{outcome.Link, model.AttachNative}, {outcome.Failback, model.AttachNative}, {outcome.Kill, model.AttachTCX}, {outcome.Failback, model.AttachTCX}} {
		t.Run(fmt.Sprintf("%v %v", s.fault, s.xdp), func(t *testing.T) {
			o := realOptions(t, s.fault, outcome.Embedded, s.xdp, outcome.Fast)
			o.Mode = outcome.Tunnel
			passes(t, o)
		})
	}
}

// passes runs a lab that must pass and leave nothing. Machines are noisy: when
// something only took too long, two more runs must pass, so that the median does.
func passes(t *testing.T, o Options) {
	t.Helper()
	r := once(t, o)
	if r.OnlyLate {
		t.Logf("too late, once: %q", r.Reasons)
		if r = once(t, o); r.Passed {
			r = once(t, o)
		}
	}
	if !r.Passed {
		t.Errorf("did not pass: %q", r.Reasons)
	}
}

// once runs a lab that must leave nothing.
func once(t *testing.T, o Options) outcome.Result {
	t.Helper()
	var out bytes.Buffer
	r, err := Run(t.Context(), o, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	if r.XDP != o.XDP.String() {
		t.Errorf("the programme is attached as %q, want %v", r.XDP, o.XDP)
	}
	wantNothingOf(t, os.Getpid())
	return r
}

// TestCrowd holds 20,000 connections while the service is moved, and while the
// director's programme is killed in the middle of the resets. All must be reset
// within a second. The director hangs on socket buffers: with XDP in the driver
// the ring of a veth interface, of 256 frames, may lose part of such a burst.
func TestCrowd(t *testing.T) {
	for _, f := range []outcome.Fault{outcome.Planned, outcome.Crash} {
		t.Run(f.String(), func(t *testing.T) {
			o := realOptions(t, f, outcome.Embedded, model.AttachGeneric, outcome.Fast)
			o.Crowd = 20_000
			passes(t, o)
		})
	}
}

// TestARealSplitIsCaught runs the real director while some frames are sent to
// both servers.
func TestARealSplitIsCaught(t *testing.T) {
	o := realOptions(t, outcome.Planned, outcome.Embedded, model.AttachNative, outcome.Fast)
	o.Split = true
	r := once(t, o)
	if r.Passed || r.OnlyLate || r.ConnsSplit == 0 || r.DataAstray == 0 || r.CaptureDrops > 0 {
		t.Errorf("passed %v, %d connections on two servers, %d packets astray, %d missed",
			r.Passed, r.ConnsSplit, r.DataAstray, r.CaptureDrops)
	}
}

// TestCapture reads what the data plane forwards and answers: frames that a
// capture on the director's interface cannot see.
func TestCapture(t *testing.T) {
	s := built(t, realOptions(t, outcome.Planned, outcome.Embedded, model.AttachNative, outcome.Note))
	l, err := s.Load(t.Context(), site.VIP)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	l.Start(ctx)
	whole := 0
	err = s.Control.Capture(ctx, 0, func(p api.Packet) error {
		if p.Iface != "eth0" || p.Verdict != "forward" || len(p.Data) != p.Length {
			t.Errorf("captured %q of %d bytes on %q, %d of them kept", p.Verdict, p.Length, p.Iface, len(p.Data))
		}
		if p.Length == 1514 {
			whole++
		}
		if whole == 500 {
			stop()
		}
		return nil
	})
	if whole < 500 {
		t.Errorf("%d full frames captured, want 500 (%v)", whole, err)
	}
}

// built is the whole diagram with the real director.
func built(t *testing.T, o Options) *site.Site {
	t.Helper()
	if err := o.prepare(); err != nil {
		t.Fatal(err)
	}
	s, err := site.Build(t.Context(), o.site())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wantNothingOf(t, os.Getpid())
	})
	return s
}

// TestLibnfs reads through the virtual IP with libnfs's tools.
func TestLibnfs(t *testing.T) {
	s := built(t, realOptions(t, outcome.Planned, outcome.Embedded, model.AttachNative, outcome.Note))
	want := strings.Repeat("fairlead\n", 50_000)
	if err := os.WriteFile(filepath.Join(s.Share(), "large"), []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
	url := "nfs://" + site.VIP.String() + nfsd.ExportPath
	if got := output(t, s, "nfs-ls", url); !strings.Contains(got, "large") {
		t.Errorf("nfs-ls lists %q", got)
	}
	if got := output(t, s, "nfs-cat", url+"/large"); got != want {
		t.Errorf("nfs-cat prints %d bytes, want %d", len(got), len(want))
	}
}

// output is what a programme prints on the client's host.
func output(t *testing.T, s *site.Site, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: install the package libnfs-utils", err)
	}
	var out bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	p, err := s.Client.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Error(p.Stop(0), name, "does not end")
	}
	if p.Err() != nil {
		t.Errorf("%s: %v", name, p.Err())
	}
	return out.String()
}

// withoutDaemon is how long the data plane forwards alone in TestDaemonDies: more than
// a minute, and no multiple of the 15 seconds after which the servers see whether idle
// clients live. Linux's client answers two such questions in 500 ms once only.
const withoutDaemon = 65 * time.Second

// TestDaemonDies kills the director's programme under load. Nothing may be
// noticed, connections opened meanwhile must be known to the next one, and a
// switch right after its start must reset them all.
func TestDaemonDies(t *testing.T) {
	s, ctx := built(t, realOptions(t, outcome.Planned, outcome.Embedded, model.AttachNative, outcome.Note)), t.Context()
	l, err := s.Load(ctx, site.VIP)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := directorStatus(t, s)
	l.Start(ctx)
	r := &run{load: l, site: s, reporter: newReporter(t.Output(), Options{})}
	if err := r.work(ctx, clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Daemon.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Daemon.Done()
	idle := connect(t, s, 20)
	alone := clock.Now()
	<-time.After(withoutDaemon)
	did := l.Between(alone, clock.Now())
	t.Logf("%d operations, %s without a daemon", did.Operations, outcome.Mebibytes(did.Bytes))
	for i, seen := range l.Seen() {
		if g := seen.Stall(); seen.Events[nfs.Reconnected] > 0 || g.Length() > time.Second {
			t.Errorf("worker %d: stall %v, events %v", i+1, g.Length(), seen.Events)
		}
	}
	if err := s.StartDirector(ctx); err != nil {
		t.Fatal(err)
	}
	after := directorStatus(t, s)
	if after.Epoch != before.Epoch || after.Applied != before.Applied || after.Since != before.Since {
		t.Errorf("the new daemon has %s, epoch %d, since %v; the old one had %s, %d, %v",
			after.Applied, after.Epoch, after.Since, before.Applied, before.Epoch, before.Since)
	}
	wantAllReset(t, s, l, idle)
}

func directorStatus(t *testing.T, s *site.Site) model.DirectorStatus {
	t.Helper()
	st := must[model.Status](t)(s.Control.Status(t.Context()))
	return must[model.DirectorStatus](t)(site.DirectorOf(st))
}

// connect opens idle connections to the virtual IP.
func connect(t *testing.T, s *site.Site, n int) []*nfs.Client {
	t.Helper()
	var all []*nfs.Client
	for range n {
		c := s.NFSClient(netip.AddrPortFrom(site.VIP, nfs.PortNFS), nil)
		t.Cleanup(func() { c.Close() })
		if err := c.Null(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// wantAllReset switches, and wants every idle connection reset at once and the
// load to go on.
func wantAllReset(t *testing.T, s *site.Site, l *workload.Load, idle []*nfs.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ends := make([]workload.Ending, len(idle))
	var all sync.WaitGroup
	for i, c := range idle {
		all.Go(func() {
			if e, err := c.Wait(ctx); err == nil {
				ends[i] = workload.Ending{At: clock.Now(), Kind: e.Kind}
			}
		})
	}
	sw := must[model.Switch](t)(s.Control.Switch(ctx, model.ServerRef{Director: site.DirectorName, Server: site.ServerSpecs[1].Name}))
	all.Wait()
	decided := clock.Instant(sw.DecidedMono)
	for i, e := range ends {
		if e.Kind != nfs.Reset || e.At < decided || e.At.Since(decided) > 250*time.Millisecond {
			t.Errorf("idle connection %d: %v %v after the decision", i, e.Kind, e.At.Since(decided))
		}
	}
	r := &run{load: l, site: s, reporter: newReporter(t.Output(), Options{})}
	if err := r.work(ctx, clock.Now()); err != nil {
		t.Fatal(err)
	}
	l.Finish(ctx)
	for _, err := range l.Errors() {
		t.Error(err)
	}
	if err := l.Verify(ctx, s.Share()); err != nil || l.Totals().Different > 0 {
		t.Errorf("%d bytes differ, %v", l.Totals().Different, err)
	}
}
