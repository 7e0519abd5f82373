package record

import (
	"testing"
	"time"
)

const (
	ms     = int64(time.Millisecond)
	second = 1000 * ms
)

// sample: worker 1 waited from 10 to 14 s and works; worker 2 waits since 19 s.
func sample() Record {
	return Record{
		Slow: []Call{{1, "write", 5 * second, 5*second + 80*ms}, {1, "write", 10 * second, 14 * second}},
		Workers: []Call{
			{Idle, "write", second, second + ms},
			{1, "read", 20*second - ms, 0},
			{2, "read", 19 * second, 0},
		},
		At: 20 * second,
	}
}

func TestLongest(t *testing.T) {
	for _, test := range []struct {
		after, want int64
	}{
		{0, 4 * second}, {13 * second, 4 * second}, {14 * second, second}, {21 * second, 0},
	} {
		if got := sample().Longest(test.after).Took(); got != time.Duration(test.want) {
			t.Errorf("after %d: got %v, want %v", test.after, got, time.Duration(test.want))
		}
	}
}

// none excuses nothing.
func none(Call) time.Duration { return 0 }

func TestRest(t *testing.T) {
	for _, test := range []struct {
		after, want int64
	}{
		{0, 4 * second}, {11 * second, 3 * second}, {13*second + 500*ms, second}, {19*second + 900*ms, 100 * ms}, {21 * second, 0},
	} {
		if got := sample().Rest(test.after, none); got != time.Duration(test.want) {
			t.Errorf("after %d: got %v, want %v", test.after, got, time.Duration(test.want))
		}
	}
}

func TestCalm(t *testing.T) {
	calm := func() Record {
		r := sample()
		r.Workers[2] = Call{2, "read", 20*second - 2*ms, 20*second - ms}
		return r
	}
	for _, test := range []struct {
		what   string
		record Record
		after  int64
		want   bool
	}{
		{"a worker waits", sample(), 15 * second, false},
		{"all work", calm(), 15 * second, true},
		{"it is too early to tell", calm(), 18 * second, false},
		{"one has begun nothing since", func() Record { r := calm(); r.Workers[2] = Call{2, "read", 14 * second, 14*second + ms}; return r }(), 15 * second, false},
		{"one waited a moment ago", func() Record { r := calm(); r.Slow[1].End = 18 * second; return r }(), 15 * second, false},
	} {
		if got := test.record.Calm(test.after, 250*time.Millisecond); got != test.want {
			t.Errorf("%s: got %v", test.what, got)
		}
	}
}

func TestEnded(t *testing.T) {
	if sample().Ended() {
		t.Error("a record without sums counts as ended")
	}
}

// TestExcused: the longest call is not the one with the longest rest.
func TestExcused(t *testing.T) {
	most := func(c Call) time.Duration {
		if c.Took() >= 3*time.Second {
			return c.Took() - 500*time.Millisecond
		}
		return 0
	}
	if got := sample().Rest(0, most); got != time.Second {
		t.Errorf("got %v, want 1s of worker 2", got)
	}
	if got := sample().Rest(11*second, most); got != time.Second {
		t.Errorf("the part after an instant: got %v, want 1s of worker 2", got)
	}
}
