package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/site"
	"fairlead/internal/lab/workload"
	"fairlead/internal/model"
	"fairlead/internal/nfs"
)

// hookDirector is a director with hooks and fast checks of both servers; the
// arguments are the hook lines.
const hookDirector = `director nfs
  mode gateway
  check interval 300ms port 2049 timeout 300ms
  option tcpcheck
%s  server nfs-01 192.168.10.100:2049 check
  server nfs-02 192.168.10.101:2049 check sorry
`

// hookScript is a hook that tells when it begins and ends. The arguments are the
// file to tell it to, and what the hook does.
const hookScript = `#!/bin/sh
tell() {
	echo "$1,$FAIRLEAD_HOOK,$FAIRLEAD_DIRECTOR,$FAIRLEAD_VIPS,$FAIRLEAD_OLD,$FAIRLEAD_NEW,$FAIRLEAD_EPOCH,$FAIRLEAD_REASON,$(date +%%s%%N)" >>%s
}
tell begins
%s
tell ends
`

// hooked is a site whose director has hooks, with a load on it.
type hooked struct {
	*site.Site
	t     *testing.T
	dir   string // of the hooks
	load  *workload.Load
	first uint64 // epoch at the start
}

// hookLine is what a hook told of itself.
type hookLine struct {
	Text string // all but the instant
	At   clock.Instant
}

// newHooked builds a site with hooks that do what is said; policy is that of the
// fence hook, with its timeout. Without a fence there are no hooks. Then it sets
// the clients to work.
func newHooked(t *testing.T, fence, policy, promote string) *hooked {
	t.Helper()
	h := &hooked{t: t, dir: t.TempDir()}
	if err := os.Chmod(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lines := ""
	if fence != "" {
		lines = fmt.Sprintf("  hook fence %s %s\n  hook promote %s\n", h.script("fence", fence), policy, h.script("promote", promote))
	}
	o := realOptions(t, outcome.Planned, outcome.Embedded, model.AttachNative, outcome.Note)
	o.Config = map[string]string{"flow.cfg": note["flow.cfg"], "services.cfg": note["services.cfg"], "l4.cfg": fmt.Sprintf(hookDirector, lines)}
	h.Site = built(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	h.load = must[*workload.Load](t)(h.Load(ctx, site.VIP))
	t.Cleanup(func() { h.load.Close() })
	h.first = directorStatus(t, h.Site).Epoch
	h.load.Start(t.Context())
	h.works(clock.Now())
	return h
}

// script writes a hook.
func (h *hooked) script(name, does string) string {
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, fmt.Appendf(nil, hookScript, h.path("log"), does), 0o755); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h *hooked) path(name string) string { return filepath.Join(h.dir, name) }

// told is what the hooks told so far.
func (h *hooked) told() (all []hookLine) {
	h.t.Helper()
	b, err := os.ReadFile(h.path("log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
	ahead := time.Now().UnixNano() - int64(clock.Now()) // the time of day, of the monotonic clock
	for line := range strings.Lines(string(b)) {
		i := strings.LastIndexByte(line, ',')
		var at int64
		if _, err := fmt.Sscan(line[i+1:], &at); err != nil {
			h.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, hookLine{line[:i], clock.Instant(at - ahead)})
	}
	return all
}

// until polls for a condition.
func (h *hooked) until(what string, done func() bool) {
	h.t.Helper()
	end, tick := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-end:
			h.t.Fatalf("%s: not within 20 s; clients' errors %v, hooks told %v", what, h.load.Errors(), h.told())
		case <-tick.C:
		}
	}
}

// works waits until every worker goes on since an instant, and something is done.
func (h *hooked) works(since clock.Instant) {
	h.t.Helper()
	h.until("the clients work", func() bool {
		return h.load.Resumed(since) != 0 && h.load.Between(since, clock.Now()).Reaches(workload.Volume{Operations: 200, Bytes: 8 << 20})
	})
}

// switched waits for the one switch to nfs-02, and until the clients go on.
func (h *hooked) switched() model.Switch {
	h.t.Helper()
	sw, err := h.AwaitSwitch(h.t.Context(), h.first, 20*time.Second, func() {}, func(model.Switch) {})
	if err != nil || sw == nil || sw.ResetMono == 0 {
		h.t.Fatalf("waiting for the switch: %+v, %v; hooks told %v", sw, err, h.told())
	}
	if sw.To != site.ServerSpecs[1].Name || sw.Epoch != h.first+1 {
		h.t.Errorf("switched to %s, epoch %d; want nfs-02, epoch %d", sw.To, sw.Epoch, h.first+1)
	}
	h.works(clock.Instant(sw.AppliedMono))
	return *sw
}

// finish ends the work. No client may have seen an error, a refusal or another
// byte than it wrote.
func (h *hooked) finish() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	h.load.Finish(ctx)
	for _, err := range h.load.Errors() {
		h.t.Error(err)
	}
	for i, seen := range h.load.Seen() {
		if n := seen.Events[nfs.Refused] + seen.Events[nfs.Unreachable]; n > 0 {
			h.t.Errorf("worker %d: %d attempts to connect failed", i+1, n)
		}
		h.t.Logf("worker %d: stall %v, events %v", i+1, seen.Stall().Length(), seen.Events)
	}
	if err := h.load.Verify(ctx, h.Share()); err != nil || h.load.Totals().Different > 0 {
		h.t.Errorf("%d bytes differ, %v", h.load.Totals().Different, err)
	}
}

// command is what the programme prints for a command to the daemon.
func (h *hooked) command(args ...string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), must[string](h.t)(program()), append(args, "--socket", h.Socket())...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("fairlead %v: %v: %s", args, err, &errs)
	}
	return string(out)
}

// events are the journal's entries of some kinds.
func (h *hooked) events(kinds ...model.EventKind) (all []model.Event) {
	h.t.Helper()
	for d := json.NewDecoder(strings.NewReader(h.command("events", "--json", "--since", "0"))); d.More(); {
		var e model.Event
		if err := d.Decode(&e); err != nil {
			h.t.Fatal(err)
		}
		if slices.Contains(kinds, e.Kind) {
			all = append(all, e)
		}
	}
	return all
}

// wantTold compares what the hooks told so far.
func (h *hooked) wantTold(reason model.Reason, want ...string) []hookLine {
	h.t.Helper()
	got := h.told()
	h.wantLines(got, reason, want...)
	return got
}

func (h *hooked) wantLines(got []hookLine, reason model.Reason, want ...string) {
	h.t.Helper()
	rest := fmt.Sprintf(",nfs,%v,nfs-01,nfs-02,%d,%v", site.VIP, h.first+1, reason)
	for i, w := range want {
		if len(got) != len(want) || got[i].Text != w+rest {
			h.t.Fatalf("the hooks told %v\nwant %q, each with %q", got, want, rest)
		}
	}
}

// cut cuts the cable of nfs-01.
func (h *hooked) cut() {
	h.t.Helper()
	if err := h.Servers[0].Cut(); err != nil {
		h.t.Fatal(err)
	}
}

// second is nfs-02 as orders name it.
var second = model.ServerRef{Director: site.DirectorName, Server: site.ServerSpecs[1].Name}

// callers are connections that are begun while the director is on hold.
type callers struct {
	all  sync.WaitGroup
	errs []error
	ends []clock.Instant
}

// call begins connections to the service.
func (h *hooked) call(n int) *callers {
	c := &callers{errs: make([]error, n), ends: make([]clock.Instant, n)}
	for i := range n {
		c.all.Go(func() {
			c.errs[i] = h.Client.Do(func() error {
				conn, err := net.DialTimeout("tcp4", netip.AddrPortFrom(site.VIP, nfs.PortNFS).String(), 15*time.Second)
				c.ends[i] = clock.Now()
				if err != nil {
					return err
				}
				return conn.Close()
			})
		})
	}
	return c
}

// wantSoon: all were connected, and none had to send its first packet again, which
// a kernel does after a second.
func (c *callers) wantSoon(t *testing.T, applied clock.Instant) {
	t.Helper()
	c.all.Wait()
	for i, err := range c.errs {
		if d := c.ends[i].Since(applied); err != nil || d > 300*time.Millisecond {
			t.Errorf("a connection begun on hold was made %v after the switch: %v", d, err)
		}
	}
}
