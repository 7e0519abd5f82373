package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"fairlead/vm/record"
)

// recorder collects a record from all workers.
type recorder struct {
	name string

	mu   sync.Mutex // guards the following
	seen record.Record
}

// add makes a worker known; calls of an unknown one are lost.
func (r *recorder) add(worker int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Workers = append(r.seen.Workers, record.Call{Worker: worker})
}

// call does one operation and keeps when it began and ended, and its error.
func (r *recorder) call(worker int, what string, do func() error) {
	c := record.Call{Worker: worker, What: what, Begin: now()}
	r.present(c)
	err := do()
	c.End = now()
	r.present(c)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Calls++
	if c.Took() >= record.Slow {
		r.seen.Slow = append(r.seen.Slow, c)
	}
	if err != nil {
		r.seen.Errors = append(r.seen.Errors, fmt.Sprintf("worker %d: %s: %v", worker, what, err))
	}
}

func (r *recorder) present(c record.Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.seen.Workers {
		if r.seen.Workers[i].Worker == c.Worker {
			r.seen.Workers[i] = c
		}
	}
}

func (r *recorder) wrong(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Wrong += bytes
}

// keep writes the record every 100 ms until everything is done. A signal to end
// closes stop.
func (r *recorder) keep(end <-chan os.Signal, stop chan<- struct{}, done <-chan map[string]string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-end:
			close(stop)
			end = nil
		case <-tick.C:
			if err := r.save(nil); err != nil {
				return err
			}
		case sums := <-done:
			return r.save(sums)
		}
	}
}

// save writes the record, whole or not at all.
func (r *recorder) save(sums map[string]string) error {
	r.mu.Lock()
	r.seen.Sums, r.seen.At = sums, now()
	text, err := json.Marshal(r.seen)
	r.mu.Unlock()
	if err == nil {
		err = os.WriteFile(r.name+".new", text, 0o644)
	}
	if err == nil {
		err = os.Rename(r.name+".new", r.name)
	}
	if err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	return nil
}
