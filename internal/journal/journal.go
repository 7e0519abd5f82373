package journal

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

const (
	syncAfter  = 500 * time.Millisecond // from an entry to its safety
	retryAfter = time.Second            // from a failure to the next try
	slowAfter  = 5 * time.Second        // past it, a disk that did not answer counts as failed
	batch      = 1000                   // entries that are read or written at once
)

// Journal is the journal in one directory. Its methods may be used by any
// goroutine at any time; one runs Run.
type Journal struct {
	disk disk
	log  *slog.Logger
	work chan struct{} // capacity 1: there is something to write

	mu      sync.Mutex // guards the following; never held while the disk is asked
	ring    ring
	seq     uint64        // of the last entry
	written uint64        // the last one that the kernel has
	safe    uint64        // the last one that is safe on the disk
	since   time.Time     // the oldest one that is not safe was entered; zero: all are
	news    chan struct{} // closed at the next entry
	failed  error         // of the last try to write
}

// Open opens the journal in a directory, which is made if it is missing. One
// that cannot be used is tried again by Run; until then Err says why.
func Open(dir string, log *slog.Logger) *Journal {
	j := &Journal{disk: disk{dir: dir}, log: log, work: make(chan struct{}, 1), news: make(chan struct{})}
	last, err := j.disk.last()
	j.adopt(last)
	if err == nil {
		err = j.open()
	}
	j.tell(err)
	return j
}

// Close writes what Run did not, and gives the files up. It comes after Run.
func (j *Journal) Close() error {
	j.finish()
	j.disk.close()
	return nil
}

// Append enters an entry and gives it back with its number.
func (j *Journal) Append(e model.Event) model.Event {
	e.Text, e.Err = shorten(e.Text), shorten(e.Err)
	e.At = e.At.Round(0) // as it will be read from the disk
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	e.Seq = j.seq
	j.ring.add(e)
	if j.since.IsZero() {
		j.since = time.Now()
	}
	close(j.news)
	j.news = make(chan struct{})
	select {
	case j.work <- struct{}{}:
	default: // the writer has not seen the one before yet
	}
	return e
}

// Read returns up to most entries that follow the number since, oldest first.
// What the disk does not give is left out.
func (j *Journal) Read(since uint64, most int) []model.Event {
	j.mu.Lock()
	recent := j.ring.after(since, most)
	before := j.seq + 1
	if len(j.ring.all) > 0 {
		before = j.ring.at(0).Seq
	}
	j.mu.Unlock()
	if since+1 >= before {
		return recent
	}
	// A disk that fails is the writer's to tell.
	some, _ := j.disk.read(since, before, most)
	return append(some, recent[:min(len(recent), most-len(some))]...)
}

// Follow hands the entries that follow the number since to emit, those to come
// too, until emit fails or ctx ends. A slow reader holds up nobody.
func (j *Journal) Follow(ctx context.Context, since uint64, emit func(model.Event) error) error {
	for {
		j.mu.Lock()
		news := j.news
		j.mu.Unlock()
		some := j.Read(since, batch)
		for _, e := range some {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := emit(e); err != nil {
				return err
			}
			since = e.Seq
		}
		if len(some) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

// Err says why the journal is not kept on disk at present; nil: it is.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil && !j.since.IsZero() && time.Since(j.since) > slowAfter {
		return fmt.Errorf("write the journal in %s: the disk did not answer within %v", j.disk.dir, slowAfter)
	}
	return j.failed
}

// Run writes until ctx ends, and then what is left. A disk that fails is told
// by Err, and tried again.
func (j *Journal) Run(ctx context.Context) error {
	for {
		work := j.work
		var due <-chan time.Time
		if err := j.step(); err != nil {
			work, due = nil, time.After(retryAfter)
		} else if at := j.deadline(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			j.finish()
			return nil
		case <-work:
		case <-due:
		}
	}
}

// deadline is when the entries that are not safe have to be; zero: all are.
func (j *Journal) deadline() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.since.IsZero() {
		return time.Time{}
	}
	return j.since.Add(syncAfter)
}

// step writes what there is, and makes it safe when it is time to. After a
// failure only what is safe is proof that the disk works again.
func (j *Journal) step() error {
	err := j.write()
	j.mu.Lock()
	due := j.failed != nil || !j.since.IsZero() && time.Since(j.since) >= syncAfter
	j.mu.Unlock()
	if err == nil && due {
		err = j.sync()
	}
	if err != nil || due {
		j.tell(err)
	}
	return err
}

// finish makes everything safe, if the disk lets it.
func (j *Journal) finish() {
	err := j.write()
	if err == nil {
		err = j.sync()
	}
	j.tell(err)
}

// open opens the file. The entries of a fresh one go before those in memory.
func (j *Journal) open() error {
	fresh, err := j.disk.open()
	if err != nil || !fresh {
		return err
	}
	last, err := j.disk.last()
	if err != nil {
		j.disk.forget() // its numbers have to be known before it is written to
		return err
	}
	j.adopt(last)
	return nil
}

// adopt goes on from the last number that a disk has. If it came late and its
// numbers are in use, those in memory move behind them: followers get them a
// second time, but no number means two entries.
func (j *Journal) adopt(last uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.ring.all) == 0 {
		j.seq = max(j.seq, last)
		j.written, j.safe = j.seq, j.seq
		return
	}
	first := j.ring.at(0).Seq
	if last <= j.written || last < first {
		return // they are its own, or lower
	}
	for i := range j.ring.all {
		j.ring.all[i].Seq += last + 1 - first
	}
	j.seq += last + 1 - first
	j.written, j.safe = last, last
}

// write hands all entries to the kernel.
func (j *Journal) write() error {
	if err := j.open(); err != nil {
		return err
	}
	for {
		j.mu.Lock()
		some := j.ring.after(j.written, batch)
		written := j.written
		j.mu.Unlock()
		if len(some) == 0 {
			return nil
		}
		done, full, err := j.disk.write(some)
		if err != nil {
			return err
		}
		if done > 0 {
			j.mu.Lock()
			j.written = some[done-1].Seq
			j.mu.Unlock()
			j.tellLost(some[0].Seq - written - 1)
		}
		if !full {
			continue
		}
		if err := j.turn(); err != nil {
			return err
		}
	}
}

// turn begins a new file when the present one is safe.
func (j *Journal) turn() error {
	if err := j.sync(); err != nil {
		return err
	}
	return j.disk.turn()
}

// tellLost enters that entries left the memory before the disk took them.
func (j *Journal) tellLost(lost uint64) {
	if lost == 0 {
		return
	}
	e := model.Event{At: time.Now(), Mono: monotonic(), Kind: model.EventAlarm,
		Text: fmt.Sprintf("%d entries of the journal were lost: the disk took none for too long", lost)}
	j.Append(e)
	j.log.Warn(e.Kind.String(), "text", e.Text)
}

// monotonic reads CLOCK_MONOTONIC, in ns.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}

// sync makes safe what was written.
func (j *Journal) sync() error {
	began := time.Now()
	j.mu.Lock()
	written := j.written
	j.mu.Unlock()
	err := j.disk.sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.written = j.safe
		return err
	}
	j.safe = written
	if j.since = (time.Time{}); j.seq > written {
		j.since = began // at the latest: the others were entered meanwhile
	}
	return nil
}

// tell keeps what Err says, and logs when the disk begins to fail and to work.
func (j *Journal) tell(err error) {
	err = explain(j.disk.dir, err)
	j.mu.Lock()
	before := j.failed
	j.failed = err
	j.mu.Unlock()
	switch {
	case before == nil && err != nil:
		j.log.Warn("the journal is not kept on disk", "error", err)
	case before != nil && err == nil:
		j.log.Info("the journal is kept on disk again")
	}
}
