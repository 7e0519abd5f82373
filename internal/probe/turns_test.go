package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// many is a target with so many virtual IPs.
func many(n int, interval time.Duration) Target {
	t := nfs01
	t.Interval = interval
	for i := range n {
		t.Via = append(t.Via, model.VIPTest{VIP: netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), Test: t.Tests[0]})
	}
	return t
}

// askedVIPs is what one probe asks at virtual IPs, in order, and whether it passed.
type askedVIPs struct {
	vips []netip.Addr
	at   time.Duration
	ok   bool
}

// scene is a Prober in a bubble, with one target. Servers answer at once.
type scene struct {
	*Prober
	results chan model.ProbeResult
	start   time.Time

	mu    sync.Mutex // guards the following
	down  map[netip.Addr]bool
	asked []netip.Addr
}

// next waits for the next probe.
func (s *scene) next() askedVIPs {
	r := <-s.results
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.asked
	s.asked = nil
	return askedVIPs{all, time.Since(s.start), r.OK}
}

// fail makes the server fail at these virtual IPs, and pass at all others.
func (s *scene) fail(vips ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.down)
	for _, vip := range vips {
		s.down[vip] = true
	}
}

func inScene(t *testing.T, target Target, test func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{results: make(chan model.ProbeResult), start: time.Now(), down: make(map[netip.Addr]bool)}
		s.Prober = New(s.results, nil, slog.New(slog.DiscardHandler))
		s.put = func(_ context.Context, q question) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if q.by.IsValid() {
				s.asked = append(s.asked, q.addr)
			}
			if s.down[q.addr] {
				return errors.New("no")
			}
			return nil
		}
		s.Set([]Target{target})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		test(t, s)
		cancel()
		<-ended
	})
}

// TestTurns: the first probe asks at all virtual IPs; then they take turns, and each has
// been asked again within a minute, or within an interval that is longer.
func TestTurns(t *testing.T) {
	for _, tt := range []struct {
		vips     int
		interval time.Duration
		want     int // in a probe
	}{
		{1, time.Second, 1},
		{few, time.Second, few},
		{156, 100 * time.Millisecond, few},
		{156, time.Second, few},
		{156, 10 * time.Second, 26},
		{1000, time.Second, 17},
		{156, 2 * time.Minute, 156},
	} {
		t.Run(fmt.Sprintf("%d virtual IPs each %v", tt.vips, tt.interval), func(t *testing.T) {
			inScene(t, many(tt.vips, tt.interval), func(t *testing.T, s *scene) {
				if first := s.next(); len(first.vips) != tt.vips {
					t.Fatalf("the first probe asks at %d virtual IPs, want all %d", len(first.vips), tt.vips)
				}
				last := make(map[netip.Addr]time.Duration)
				end := s.start.Add(3*around + 2*tt.interval)
				for time.Now().Before(end) {
					p := s.next()
					if len(p.vips) != tt.want || !p.ok {
						t.Fatalf("a probe asks at %d virtual IPs, want %d; passed: %v", len(p.vips), tt.want, p.ok)
					}
					for _, vip := range p.vips {
						if gap := p.at - last[vip]; gap > max(around, tt.interval)+tt.interval/10 {
							t.Errorf("%s was left alone for %v", vip, gap)
						}
						last[vip] = p.at
					}
				}
				if len(last) != tt.vips {
					t.Errorf("%d virtual IPs were asked at, want all %d", len(last), tt.vips)
				}
			})
		})
	}
}

// TestTurnsAfterAFailure: what failed is asked first, alone, until it passes; and the
// server passes when it does so at all of its virtual IPs.
func TestTurnsAfterAFailure(t *testing.T) {
	target := many(100, time.Second)
	bad, worse := target.Via[50].VIP, target.Via[90].VIP
	inScene(t, target, func(t *testing.T, s *scene) {
		s.next()
		s.fail(bad, worse)
		p := s.next()
		for p.ok && p.at < 2*around {
			p = s.next()
		}
		if p.at > around || !slices.Contains(p.vips, bad) {
			t.Errorf("the failure is found after %v at %v", p.at, p.vips)
		}
		s.Now(target.Ref, time.Second) // its confirmation
		for range 3 {
			if p = s.next(); p.ok || !slices.Equal(p.vips, []netip.Addr{bad}) {
				t.Errorf("after a failure a probe asks at %v, passed: %v; want %s alone, and no", p.vips, p.ok, bad)
			}
		}
		s.fail(worse)
		if p = s.next(); p.ok || p.vips[0] != bad || !slices.Contains(p.vips, worse) {
			t.Errorf("when the first one passes a probe asks at %v, passed: %v; want all in turn, and no", p.vips, p.ok)
		}
		s.fail()
		if p = s.next(); !p.ok || p.vips[0] != worse || len(p.vips) != len(target.Via) {
			t.Errorf("the probe that passes asks at %d virtual IPs, at %s first; want all, and %s", len(p.vips), p.vips[0], worse)
		}
		if p = s.next(); !p.ok || len(p.vips) != few {
			t.Errorf("the probe after it asks at %d virtual IPs, want %d", len(p.vips), few)
		}
	})
}

// TestTurnsAfterItsOwnFailure: a server that failed at its own address is asked at all of
// its virtual IPs before it passes again.
func TestTurnsAfterItsOwnFailure(t *testing.T) {
	target := many(100, time.Second)
	inScene(t, target, func(t *testing.T, s *scene) {
		s.next()
		s.fail(target.Addr)
		if p := s.next(); p.ok || len(p.vips) != 0 {
			t.Errorf("a server that fails at its own address is asked at %v", p.vips)
		}
		s.fail()
		if p := s.next(); !p.ok || len(p.vips) != len(target.Via) {
			t.Errorf("the probe that passes asks at %d virtual IPs, want all", len(p.vips))
		}
	})
}

// TestTurnsOfAnOrder: a suspicion asks at all virtual IPs at once, many of them do so no
// more than once in an interval.
func TestTurnsOfAnOrder(t *testing.T) {
	target := many(100, time.Second)
	inScene(t, target, func(t *testing.T, s *scene) {
		s.next()
		for s.next().at < 5*time.Second {
		}
		var got []int
		for range 4 {
			time.Sleep(100 * time.Millisecond)
			s.Now(target.Ref, time.Second)
			p := s.next()
			got = append(got, len(p.vips))
		}
		if want := []int{100, few, few, few}; !slices.Equal(got, want) {
			t.Errorf("orders ask at %v virtual IPs, want %v", got, want)
		}
	})
}

// TestBatches: a server with many virtual IPs is not asked at all of them at a time.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := many(100, time.Second)
		own, via := target.questions()
		var mu sync.Mutex
		now, most := 0, 0
		a := asker{own: own, via: newTurns(via, target.Interval), put: func(context.Context, question) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		}}
		if got := len(a.ask(t.Context(), false)); got != 101 || most != abreast {
			t.Errorf("%d results, %d at a time; want 101, %d", got, most, abreast)
		}
	})
}
