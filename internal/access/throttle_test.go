package access

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestGuessing: one address guesses for an hour as fast as it is let.
func TestGuessing(t *testing.T) {
	dir := with(t).file.dir
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir)
		looked, refused := 0, 0
		for began := time.Now(); time.Since(began) < time.Hour; {
			_, err := s.Login(t.Context(), "anna", "a wrong password", here)
			var held *Throttled
			switch {
			case errors.Is(err, ErrWrong):
				looked++
			case errors.As(err, &held) && errors.Is(err, ErrThrottled) && held.Wait > 0 && held.Wait <= longestWait:
				refused++
				time.Sleep(held.Wait)
			default:
				t.Fatalf("got %v", err)
			}
		}
		if looked > freeByAddress+70 || looked < 60 || uint64(looked) != s.press.computed.Load() {
			t.Errorf("%d passwords were looked at with %d hashes", looked, s.press.computed.Load())
		}
		_, _ = s.Login(t.Context(), "anna", "a wrong password", here)
		if _, err := s.Login(t.Context(), "anna", good, here); !errors.Is(err, ErrThrottled) {
			t.Errorf("a right password while it is held up: got %v", err)
		}
		if _, err := s.Login(t.Context(), "bert", good, here); !errors.Is(err, ErrThrottled) {
			t.Errorf("another name: got %v", err)
		}
		time.Sleep(forget + time.Second)
		for range freeByAddress {
			if _, err := s.Login(t.Context(), "anna", "a wrong password", here); !errors.Is(err, ErrWrong) {
				t.Errorf("an hour later: got %v", err)
			}
			time.Sleep(time.Second)
		}
	})
}

// TestElsewhere: whoever guesses does not keep the user out.
func TestElsewhere(t *testing.T) {
	dir := with(t).file.dir
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir)
		office := netip.MustParseAddr("198.51.100.7")
		if _, err := s.Login(t.Context(), "anna", good, office); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			_, _ = s.Login(t.Context(), "anna", "a wrong password", here)
		}
		if _, err := s.Login(t.Context(), "anna", good, netip.MustParseAddr("203.0.113.1")); err != nil {
			t.Errorf("from an address that is new: got %v", err)
		}
		// A crowd of addresses: the name is held up, but not from where anna was before.
		for i := range 200 {
			_, _ = s.Login(t.Context(), "anna", "a wrong password", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
			time.Sleep(time.Second)
		}
		if _, err := s.Login(t.Context(), "anna", good, netip.MustParseAddr("203.0.113.9")); !errors.Is(err, ErrThrottled) {
			t.Errorf("from an unknown address: got %v", err)
		}
		if _, err := s.Login(t.Context(), "anna", good, office); err != nil {
			t.Errorf("from a known address: got %v", err)
		}
	})
}

// TestSuccessDoesNotHelpToGuess: a login of one's own between the guesses.
func TestSuccessDoesNotHelpToGuess(t *testing.T) {
	s := with(t)
	ok(t, s.Add("mallory", 1, good))
	synctest.Test(t, func(t *testing.T) {
		s := open(t, s.file.dir)
		looked := 0
		for range 20 {
			if _, err := s.Login(t.Context(), "anna", "a wrong password", here); errors.Is(err, ErrWrong) {
				looked++
			}
			_, _ = s.Login(t.Context(), "mallory", good, here)
		}
		if looked != freeByAddress {
			t.Errorf("%d passwords were looked at", looked)
		}
	})
}

// TestSideBySide: guesses sent all at once get no further.
func TestSideBySide(t *testing.T) {
	dir := with(t).file.dir
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir)
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() { _, _ = s.Login(t.Context(), "anna", "a wrong password", here) })
		}
		group.Wait()
		if n := s.press.computed.Load(); n > freeByAddress {
			t.Errorf("%d hashes", n)
		}
	})
}

// TestManyGuessers: what a crowd costs is bounded, and it gets no hash of its own.
func TestManyGuessers(t *testing.T) {
	dir := with(t).file.dir
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir)
		var group sync.WaitGroup
		var busy atomic.Int32
		began := time.Now()
		for i := range 200 {
			group.Go(func() {
				_, err := s.Login(t.Context(), fmt.Sprint("name", i), "a wrong password", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
				if errors.Is(err, ErrBusy) {
					busy.Add(1)
				}
			})
		}
		group.Wait()
		took := time.Since(began)
		if n := s.press.computed.Load(); n > 24 || busy.Load() < 176 || took > 8*time.Second {
			t.Errorf("%d hashes in %v, %d sent away", n, took, busy.Load())
		}
		if len(s.throttle.names) > int(s.press.computed.Load()) {
			t.Errorf("%d names are kept", len(s.throttle.names))
		}
	})
}

// TestUnknownNamesCostTheSame counts hashes: a clock would lie on a busy machine.
func TestUnknownNamesCostTheSame(t *testing.T) {
	s := with(t)
	for i, name := range []string{"anna", "bert", "no name\n", ""} {
		from := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		_, err := s.Login(t.Context(), name, "a wrong password", from)
		if got := s.press.computed.Load(); got != uint64(i+1) || !errors.Is(err, ErrWrong) {
			t.Errorf("%q: %d hashes, %v", name, got, err)
		}
	}
	if s.decoy.cost != today {
		t.Errorf("the decoy costs %+v", s.decoy.cost)
	}
}

func TestNeighbourhood(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1/32",
		"::ffff:192.0.2.1":   "192.0.2.1/32",
		"2001:db8:1:2:3::4":  "2001:db8:1:2::/64",
		"fe80::1%eth0":       "fe80::/64",
		"2001:db8:1:2:ff::9": "2001:db8:1:2::/64",
	} {
		if got := neighbourhood(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
	neighbourhood(netip.Addr{}) // no address is one, too
}

// TestThrottleIsBounded: the worst offenders stay.
func TestThrottleIsBounded(t *testing.T) {
	th := newThrottle()
	at := time.Now()
	bad := acquaintance{"anna", neighbourhood(here)}
	for range freeByAddress {
		th.admit(bad, at)
		th.settle(bad, wrong, at)
	}
	for i := range mostKept + 100 {
		who := acquaintance{fmt.Sprint("n", i), neighbourhood(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))}
		th.admit(who, at)
		th.settle(who, wrong, at)
		th.settle(who, right, at)
		th.admit(who, at)
		th.settle(who, wrong, at)
	}
	if len(th.addresses) > mostKept || len(th.names) > mostKept || len(th.known) > mostKept {
		t.Errorf("kept: %d addresses, %d names, %d acquaintances", len(th.addresses), len(th.names), len(th.known))
	}
	if th.admit(bad, at) == 0 {
		t.Error("the guesser was forgotten")
	}
}

func TestWaitGrows(t *testing.T) {
	at := time.Now()
	var last time.Duration
	for count := range 40 {
		got := failures{count: count, last: at}.wait(freeByAddress, at)
		if got < last || got > longestWait || (got == 0) != (count < freeByAddress) {
			t.Errorf("after %d failures: %v, before %v", count, got, last)
		}
		last = got
	}
	if last != longestWait {
		t.Errorf("at last %v", last)
	}
}

// TestCrowdForLong: a crowd that goes on gets few hashes a second, not those that
// the processor could compute.
func TestCrowdForLong(t *testing.T) {
	dir := with(t).file.dir
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir)
		var group sync.WaitGroup
		for i := range 100 { // 10 seconds
			group.Go(func() {
				_, _ = s.Login(t.Context(), fmt.Sprint("name", i), "a wrong password", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
			})
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.press.computed.Load(); n > 8+4*10 || n < 4*10 {
			t.Errorf("%d hashes in 10 seconds", n)
		}
		group.Wait()
	})
}
