package main

import (
	"context"
	"sync"

	"fairlead/internal/model"
)

// recent is a journal of the last entries, in memory.
type recent struct {
	mu   sync.Mutex // guards the following
	all  []model.Event
	seq  uint64
	news chan struct{} // closed at the next entry
}

const recentMost = 10_000

func newRecent() *recent { return &recent{news: make(chan struct{})} }

func (r *recent) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (r *recent) Append(e model.Event) model.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	e.Seq = r.seq
	if r.all = append(r.all, e); len(r.all) > recentMost {
		r.all = append([]model.Event(nil), r.all[len(r.all)/2:]...)
	}
	close(r.news)
	r.news = make(chan struct{})
	return e
}

func (r *recent) Read(since uint64, most int) []model.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var some []model.Event
	for _, e := range r.all {
		if e.Seq > since && len(some) < most {
			some = append(some, e)
		}
	}
	return some
}

func (r *recent) Follow(ctx context.Context, since uint64, emit func(model.Event) error) error {
	for {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		for _, e := range r.Read(since, recentMost) {
			since = e.Seq
			if err := emit(e); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

func (r *recent) Err() error { return nil }
