package agent

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairlead/internal/hook"
	"fairlead/internal/model"
)

// fakeHooks run until the test ends them, their time is over, or they are ended.
type fakeHooks struct {
	journal *journal
	ends    chan error
	linger  time.Duration // from being ended to the end
}

func (h *fakeHooks) Run(ctx context.Context, c hook.Call) hook.Outcome {
	h.journal.add("hook %s of %s begins: %s to %s, epoch %d", c.Kind, c.Director, c.Old.Name, c.New.Name, c.Epoch)
	ctx, cancel := context.WithTimeout(ctx, c.Hook.Timeout)
	defer cancel()
	select {
	case err := <-h.ends:
		return hook.Outcome{Err: err}
	case <-ctx.Done():
		time.Sleep(h.linger) // in a synctest bubble
		h.journal.add("hook %s is ended", c.Kind)
		return hook.Outcome{Err: ctx.Err()}
	}
}

// fakeMemory is a disk. It outlives the agents that use it.
type fakeMemory struct {
	journal *journal

	mu     sync.Mutex // guards the following
	held   model.Memory
	full   error // of Save
	broken error // of Load
	saves  int
	hang   chan struct{} // not nil: Save ends when it is closed
	flying atomic.Int64
}

func (m *fakeMemory) Load() (model.Memory, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held, m.broken
}

func (m *fakeMemory) Save(want model.Memory) error {
	if m.flying.Add(1) > 1 {
		m.journal.add("two at once save")
	}
	defer m.flying.Add(-1)
	m.mu.Lock()
	hang := m.hang
	m.mu.Unlock()
	if hang != nil {
		<-hang
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.full != nil {
		return m.full
	}
	m.held, m.broken = want, nil
	return nil
}

func (m *fakeMemory) set(change func(*fakeMemory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// fakeJournal keeps the entries. It outlives the agents that use it.
type fakeJournal struct {
	mu     sync.Mutex // guards the following
	all    []model.Event
	more   chan struct{} // closed at the next entry; nil: nobody waits
	failed error
}

func (j *fakeJournal) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (j *fakeJournal) Append(e model.Event) model.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Seq = uint64(len(j.all)) + 1
	j.all = append(j.all, e)
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
	return e
}

func (j *fakeJournal) Read(since uint64, most int) []model.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	rest := j.all[min(int(since), len(j.all)):]
	return slices.Clone(rest[:min(most, len(rest))])
}

func (j *fakeJournal) Follow(ctx context.Context, since uint64, emit func(model.Event) error) error {
	for ctx.Err() == nil {
		for _, e := range j.Read(since, 1) {
			since = e.Seq
			if err := emit(e); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-j.next(since):
		}
	}
	return ctx.Err()
}

// next is closed when there is an entry after that number.
func (j *fakeJournal) next(since uint64) <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.more == nil {
		j.more = make(chan struct{})
	}
	if uint64(len(j.all)) > since {
		ready := make(chan struct{})
		close(ready)
		return ready
	}
	return j.more
}

// of are the entries of a kind.
func (j *fakeJournal) of(kind model.EventKind) []model.Event {
	return slices.DeleteFunc(j.Read(0, 1<<20), func(e model.Event) bool { return e.Kind != kind })
}

func (j *fakeJournal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}
