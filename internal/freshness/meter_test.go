package freshness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/nfswalk"
)

var (
	one   = model.Server{Name: "nfs-01", Addr: netip.MustParseAddr("192.168.10.100")}
	two   = model.Server{Name: "nfs-02", Addr: netip.MustParseAddr("192.168.10.101")}
	three = model.Server{Name: "nfs-03", Addr: netip.MustParseAddr("192.168.10.102")}
)

func target(active model.Server, standbys ...model.Server) Target {
	return Target{Director: "nfs", Sync: model.Sync{File: "/srv/nfs/beat", Port: 2049, Interval: 5 * time.Second, MaxLag: time.Minute}, Active: active, Standbys: standbys}
}

// disks are the files of servers, in memory.
type disks struct {
	mu   sync.Mutex // guards the following
	held map[string][]byte
	down map[string]bool
	one  bool            // they share one storage
	lost map[string]bool // what is written there arrives, and the answer is lost
}

func newDisks() *disks {
	return &disks{held: map[string][]byte{}, down: map[string]bool{}, lost: map[string]bool{}}
}

func (d *disks) read(_ context.Context, _ Target, s model.Server) (uint64, []byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down[s.Name] {
		return 0, nil, errors.New("no answer in time")
	}
	held, ok := d.held[d.name(s)]
	if !ok {
		return 0, nil, errors.New("it is not there")
	}
	return uint64(len(held)), held, nil
}

func (d *disks) update(ctx context.Context, t Target, s model.Server, next nfswalk.Next) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down[s.Name] {
		return errors.New("no answer in time")
	}
	held := d.held[d.name(s)]
	data, err := next(uint64(len(held)), held)
	if err != nil {
		return err
	}
	d.held[d.name(s)] = data
	if d.lost[s.Name] {
		return errors.New("no answer in time")
	}
	return nil
}

// name is the disk of a server.
func (d *disks) name(s model.Server) string {
	if d.one {
		return "shared"
	}
	return s.Name
}

func (d *disks) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// replicate copies a file.
func (d *disks) replicate(from, to string) {
	d.set(func() { d.held[to] = d.held[from] })
}

// rig is a meter over disks, in a bubble.
type rig struct {
	*Meter
	disks   *disks
	results chan model.Measured
}

func newRig(t *testing.T, d *disks, host string) *rig {
	results := make(chan model.Measured, 1000)
	r := &rig{New(results, slog.New(slog.DiscardHandler)), d, results}
	r.files, r.host = d, host
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// after lets time pass, and returns what was found meanwhile, in short.
func (r *rig) after(d time.Duration) string {
	time.Sleep(d) // in a bubble
	synctest.Wait()
	var all []string
	for {
		select {
		case m := <-r.results:
			text := fmt.Sprintf("%s/%s %t %s", m.Ref.Server, m.Active, m.OK, m.Lag)
			if m.Err != "" {
				text += " " + m.Err
			}
			if m.OK && !m.Stale && m.At.Sub(m.Upto) < m.Lag {
				text += " (upto " + m.Upto.String() + ")"
			}
			all = append(all, text)
		default:
			return strings.Join(all, "; ")
		}
	}
}

func (r *rig) want(t *testing.T, d time.Duration, want string) {
	t.Helper()
	if got := r.after(d); got != want {
		t.Errorf("after %v: got  %q\nwant %q", d, got, want)
	}
}

func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks()
		r := newRig(t, d, "director-1")
		r.Set([]Target{target(one, two)})
		r.want(t, 4*time.Second, "")
		r.want(t, 5*time.Second, "nfs-02/nfs-01 false 0s the heartbeat cannot be read on nfs-02: it is not there")
		d.replicate("nfs-01", "nfs-02")
		r.want(t, 5*time.Second, "nfs-02/nfs-01 true 0s")
		for lag := 5; lag < 30; lag += 5 { // nothing is copied any more
			r.want(t, 5*time.Second, fmt.Sprintf("nfs-02/nfs-01 true %ds", lag))
		}
		d.set(func() { d.down["nfs-01"] = true })
		r.want(t, 5*time.Second, "nfs-02/nfs-01 true 30s") // of the last one that was written
		for range 5 {
			r.want(t, 5*time.Second, "nfs-02/nfs-01 true 30s the heartbeat cannot be written to nfs-01: no answer in time")
		}
		d.set(func() { d.down["nfs-02"] = true })
		r.want(t, 5*time.Second, "nfs-02/nfs-01 false 0s the heartbeat cannot be read on nfs-02: no answer in time")
		d.set(func() { clear(d.down) })
		d.replicate("nfs-01", "nfs-02")
		r.want(t, 10*time.Second, "nfs-02/nfs-01 true 0s the heartbeat cannot be written to nfs-01: no answer in time; nfs-02/nfs-01 true 40s")
	})
}

// A switch: what nfs-01 holds says nothing until nfs-02 has a heartbeat of its own.
func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks()
		r := newRig(t, d, "director-1")
		r.Set([]Target{target(one, two, three)})
		r.after(time.Second)
		d.replicate("nfs-01", "nfs-02")
		r.after(5 * time.Second)
		r.Set(nil) // the switch is under way
		r.want(t, time.Minute, "")
		d.set(func() { d.lost["nfs-02"] = true })
		r.Set([]Target{target(two, one)})
		r.want(t, time.Second, "")
		r.want(t, 5*time.Second, "nfs-01/nfs-02 false 0s the heartbeat cannot be written to nfs-02: no answer in time")
		d.set(func() { clear(d.lost) })
		r.want(t, 5*time.Second, "nfs-01/nfs-02 false 0s the heartbeat cannot be written to nfs-02: no answer in time")
		r.want(t, 5*time.Second, "nfs-01/nfs-02 true 1m11s")
		r.want(t, 5*time.Second, "nfs-01/nfs-02 true 1m16s")
	})
}

// With one storage there is no lag, whatever a look finds.
func TestSharedStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks()
		d.one = true
		r := newRig(t, d, "director-1")
		of := target(one, two)
		r.Set([]Target{of})
		r.want(t, time.Second, "")
		for range 10 {
			r.want(t, 5*time.Second, "nfs-02/nfs-01 true 0s")
		}
		of.Sync.MaxLag = time.Hour // another limit disturbs nothing
		r.Set([]Target{of})
		r.want(t, time.Millisecond, "nfs-02/nfs-01 true 0s")
		r.Set([]Target{target(two, one)}) // a switch
		r.want(t, 4*time.Second, "")
		r.want(t, 5*time.Second, "nfs-01/nfs-02 true 0s")
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks()
		first, cancel := context.WithCancel(t.Context())
		results := make(chan model.Measured, 100)
		old := New(results, slog.New(slog.DiscardHandler))
		old.files, old.host = d, "director-1"
		old.Set([]Target{target(one, two)})
		go old.Run(first)
		time.Sleep(time.Second)
		d.replicate("nfs-01", "nfs-02")
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		r := newRig(t, d, "director-1")
		r.Set([]Target{target(one, two)})
		r.want(t, time.Second, "")
		r.want(t, 5*time.Second, "nfs-02/nfs-01 true 1m1s") // by the time of day
		d.set(func() {
			b, _ := parse(beatLen, d.held["nfs-01"])
			b.at, b.life = b.at.Add(time.Hour), "another"
			d.held["nfs-02"] = b.text()
		})
		r.want(t, 5*time.Second, "nfs-02/nfs-01 false 0s /srv/nfs/beat on nfs-02: it is newer than the last one that was written; was the director's clock set back?")
	})
}

func TestTwoDirectorsOneFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks()
		r := newRig(t, d, "director-1")
		r.Set([]Target{target(one, two)})
		r.after(time.Second)
		d.replicate("nfs-01", "nfs-02")
		ctx, cancel := context.WithCancel(t.Context())
		theirs := New(make(chan model.Measured, 1000), slog.New(slog.DiscardHandler))
		theirs.files, theirs.host = d, "director-2"
		theirs.Set([]Target{target(one, two)})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			theirs.Run(ctx)
		}()
		r.after(5 * time.Second)
		for range 10 {
			r.want(t, 5*time.Second, "nfs-02/nfs-01 true 0s the heartbeat cannot be written to nfs-01: the director nfs on the host director-2 writes to /srv/nfs/beat too: each director needs a file of its own")
		}
		d.replicate("nfs-01", "nfs-02")
		r.want(t, 5*time.Second, "nfs-02/nfs-01 false 0s /srv/nfs/beat on nfs-02: the director on the host director-2 wrote it: each director needs a file of its own")
		cancel()
		<-ended
		r.after(20 * time.Second)
		d.replicate("nfs-01", "nfs-02")
		if got := r.after(5 * time.Second); !strings.HasPrefix(got, "nfs-02/nfs-01 true 0s") || strings.Contains(got, "cannot") {
			t.Errorf("the other one is gone: got %q", got)
		}
	})
}

func TestStrangeFiles(t *testing.T) {
	whole := beat{director: "nfs", server: "nfs-01", host: "h", life: "l", number: 1, at: time.Unix(1, 0)}.text()
	torn := append(append([]byte{}, whole[:200]...), whole[199:511]...)
	for name, tt := range map[string]struct {
		held    []byte
		written bool
		want    string // read on a standby server
	}{
		"somebody's data":          {[]byte("precious"), false, "it is not a heartbeat of Fairlead"},
		"the magic words and more": {[]byte(magic + "precious"), false, "it is not a heartbeat of Fairlead"},
		"a long heartbeat":         {append(append([]byte{}, whole...), 'x'), false, "it is not a heartbeat of Fairlead"},
		"zeros of its length":      {make([]byte, beatLen), false, "it is not a heartbeat of Fairlead"},
		"empty":                    {[]byte{}, true, "it is a heartbeat that was written or copied by half"},
		"torn":                     {torn, true, "it is a heartbeat that was written or copied by half"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisks()
				d.held["nfs-01"], d.held["nfs-02"] = tt.held, tt.held
				r := newRig(t, d, "director-1")
				r.Set([]Target{target(one, two)})
				got := r.after(6 * time.Second)
				if written := string(d.held["nfs-01"]) != string(tt.held); written != tt.written {
					t.Errorf("it was written over: %t, want %t", written, tt.written)
				}
				want := "nfs-02/nfs-01 false 0s the heartbeat cannot be written to nfs-01: /srv/nfs/beat is not written over: " + tt.want
				if tt.written {
					want = "nfs-02/nfs-01 false 0s /srv/nfs/beat on nfs-02: " + tt.want
				}
				if got != want {
					t.Errorf("got  %q\nwant %q", got, want)
				}
			})
		})
	}
}

func TestBeat(t *testing.T) {
	b := beat{director: strings.Repeat("d", 27), server: strings.Repeat("s", 27), host: plain(strings.Repeat("host\n ", 40)), life: "ABC", number: 1 << 63, at: time.Date(2026, 11, 29, 22, 58, 7, 1, time.UTC)}
	text := b.text()
	if got, err := parse(uint64(len(text)), text); err != nil || got != b || len(text) != beatLen {
		t.Errorf("%d bytes, got %+v, %v, want %+v", len(text), got, err, b)
	}
	for i := range text { // no single bit may go unnoticed
		text[i] ^= 1
		if _, err := parse(beatLen, text); err == nil {
			t.Errorf("byte %d was changed, and nobody noticed", i)
		}
		text[i] ^= 1
	}
}

func FuzzParse(f *testing.F) {
	f.Add(uint64(beatLen), beat{life: "l", number: 3}.text())
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, size uint64, held []byte) {
		if b, err := parse(size, held); err == nil && (size != beatLen || ours(size, held) != nil || b.life == "") {
			t.Errorf("%+v of %q", b, held)
		}
	})
}
