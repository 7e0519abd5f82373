package access

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

const (
	freeByAddress = 5           // failures of an address before it has to wait
	freeByName    = 10          // failures for a name before all others than its known addresses have to
	longestWait   = time.Minute // between two tries
	forget        = time.Hour   // after the last failure
	mostKept      = 4096        // names, addresses and acquaintances kept, each
)

// ErrThrottled is what a *Throttled is.
var ErrThrottled = errors.New("too many failed attempts to log in")

// Throttled refuses to look at a password before a time has passed.
type Throttled struct {
	Wait time.Duration
}

func (t *Throttled) Error() string {
	return fmt.Sprintf("%v: wait %v and try again", ErrThrottled, t.Wait.Round(time.Second))
}

func (t *Throttled) Is(target error) bool { return target == ErrThrottled }

// failures are those of one name or one address.
type failures struct {
	count   int
	pending int // being looked at: guesses sent side by side are no faster than others
	last    time.Time
}

// wait tells for how long no further try is allowed.
func (f failures) wait(free int, now time.Time) time.Duration {
	if f.count+f.pending < free {
		return 0
	}
	pause := longestWait
	if over := f.count - free; over < 6 {
		pause = max(time.Second<<max(over, 0), time.Second)
	}
	if f.pending > 0 {
		return pause
	}
	return max(f.last.Add(pause).Sub(now), 0)
}

// A throttle makes guessing slow. Each address has its own count, and each name:
// so neither one guesser with many names nor many guessers of one name get far.
// Addresses from which a user has logged in before are not held up by what others
// do to the user's name.
type throttle struct {
	mu        sync.Mutex // guards the following
	addresses map[netip.Prefix]failures
	names     map[string]failures
	known     map[acquaintance]time.Time // when it logged in last
}

type acquaintance struct {
	name string
	from netip.Prefix
}

func newThrottle() *throttle {
	return &throttle{
		addresses: map[netip.Prefix]failures{},
		names:     map[string]failures{},
		known:     map[acquaintance]time.Time{},
	}
}

// neighbourhood is what counts as one address: who has one IPv6 address has 2^64.
func neighbourhood(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // the zero Prefix for no address
	return prefix
}

// admit begins a try, or tells how long to wait. What was admitted ends with settle.
func (t *throttle) admit(who acquaintance, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := t.addresses[who.from].wait(freeByAddress, now)
	if _, known := t.known[who]; !known {
		wait = max(wait, t.names[who.name].wait(freeByName, now))
	}
	if wait > 0 {
		return wait
	}
	touch(t.addresses, who.from, now, func(f *failures) { f.pending++ })
	touch(t.names, who.name, now, func(f *failures) { f.pending++ })
	return 0
}

// The ends of a try.
const (
	abandoned = iota // the password was not looked at
	wrong
	right
)

func (t *throttle) settle(who acquaintance, end int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	settle := func(f *failures) {
		f.pending--
		if end == wrong {
			f.count++
			f.last = now
		}
	}
	// A right password does not clear its address: somebody with an account
	// could guess for ever, with a login of his own between.
	touch(t.addresses, who.from, now, settle)
	touch(t.names, who.name, now, settle)
	if end != right {
		return
	}
	touch(t.names, who.name, now, func(f *failures) { f.count = 0 })
	if len(t.known) >= mostKept {
		drop(t.known, func(a, b time.Time) bool { return a.Before(b) })
	}
	t.known[who] = now
}

// touch changes an entry, and removes it when it says nothing any more.
func touch[K comparable](m map[K]failures, key K, now time.Time, change func(*failures)) {
	f, there := m[key]
	if now.Sub(f.last) > forget {
		f.count = 0
	}
	change(&f)
	if f.count == 0 && f.pending == 0 {
		delete(m, key)
		return
	}
	if !there && len(m) >= mostKept {
		drop(m, func(a, b failures) bool {
			if (a.pending > 0) != (b.pending > 0) {
				return b.pending > 0
			}
			if a.count != b.count {
				return a.count < b.count
			}
			return a.last.Before(b.last)
		})
	}
	m[key] = f
}

// drop makes room: the least entry goes. Hashes are few, so are calls of this.
func drop[K comparable, V any](m map[K]V, less func(a, b V) bool) {
	var least K
	first := true
	for k, v := range m {
		if first || less(v, m[least]) {
			least, first = k, false
		}
	}
	delete(m, least)
}
