package api

import (
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// TestDearPictures: where a picture takes long, counters are told more seldom, but
// a change is told as soon as ever.
func TestDearPictures(t *testing.T) {
	for cost, want := range map[time.Duration]int{0: 19, 20 * time.Millisecond: 19, 60 * time.Millisecond: 6, 100 * time.Millisecond: 4, 400 * time.Millisecond: 4} {
		synctest.Test(t, func(t *testing.T) {
			change := make(chan struct{})
			h := newHub(func() model.Status {
				time.Sleep(cost) // in the bubble
				return model.Status{At: time.Now()}
			}, func() <-chan struct{} { return change })
			v, _, err := h.join()
			if err != nil {
				t.Fatal(err)
			}
			got := func(within time.Duration) (n int) {
				for end := time.After(within); ; n++ {
					select {
					case <-v.frames:
					case <-end:
						return n
					}
				}
			}
			got(3 * time.Second) // the first pause knows no cost yet
			if n := got(20 * time.Second); n < want || n > want+1 {
				t.Errorf("a picture takes %v: %d patches in 20 s, want %d", cost, n, want)
			}
			close(change)
			if n := got(cost + gather + time.Millisecond); n == 0 {
				t.Errorf("a picture takes %v: a change is not told at once", cost)
			}
			h.leave(v)
		})
	}
}
