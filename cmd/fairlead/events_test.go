package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fairlead/internal/model"
)

// night is the journal of a failover with a fence hook.
func night() []model.Event {
	start := time.Date(2026, 11, 22, 23, 59, 58, 980e6, time.UTC)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	nfs := func(seq uint64, d time.Duration, kind model.EventKind, server, text string) model.Event {
		return model.Event{Seq: seq, At: at(d), Kind: kind, Director: "nfs", Server: server, Epoch: 2, Text: text}
	}
	all := []model.Event{
		nfs(41, 0, model.EventSuspect, "nfs-01", "nfs-01 is suspected: a client's data came again, unanswered"),
		nfs(42, 2*time.Second, model.EventHealth, "nfs-01", "nfs-01 is down"),
		nfs(43, 2*time.Second, model.EventHold, "nfs-02", "switching from nfs-01 to nfs-02; new connections are kept"),
		nfs(44, 3412*time.Millisecond, model.EventFence, "nfs-01", "the fence hook has stopped nfs-01"),
		nfs(45, 3412*time.Millisecond, model.EventFlip, "nfs-02", "nfs-02 takes over from nfs-01"),
		nfs(46, 3413*time.Millisecond, model.EventApplied, "nfs-02", "nfs-02 gets the packets"),
		{Seq: 47, At: at(time.Minute), Kind: model.EventAlarm, Text: "the switch is not remembered", Err: "write /var/lib/fairlead/state: no space left on device"},
	}
	all[1].Err = "no answer from 192.168.10.100:2049 within 2s"
	all[3].Took = 1412 * time.Millisecond
	all[5].Took = 612 * time.Microsecond
	return all
}

func TestEventsPage(t *testing.T) {
	socket := serve(t, &fakeDaemon{events: night()})
	got := shell{}.run(t.Context(), "events", "--since", "0", "--socket", socket)
	if got.code != exitDone || got.err != "" {
		t.Errorf("got %+v", got)
	}
	golden(t, "events.txt", got.out)
	for line := range strings.Lines(got.out) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > pageWidth {
			t.Errorf("too long: %q", line)
		}
	}
}

func TestEventsOptions(t *testing.T) {
	socket := serve(t, &fakeDaemon{events: night()})
	run := func(args ...string) result {
		return shell{}.run(t.Context(), append([]string{"events", "--socket", socket}, args...)...)
	}
	got := run("--json", "--since", "45")
	var last model.Event
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 2 || last.Seq != 47 || last.Kind != model.EventAlarm {
		t.Errorf("JSON: got %+v, %v", got, err)
	}
	if got := run("--since", "2026-11-23T00:00:30Z"); strings.Count(got.out, "alarm") != 1 || strings.Contains(got.out, "flip") {
		t.Errorf("since an instant: got %+v", got)
	}
	got = run("--follow", "--since", "46")
	if got.code != exitFailed || !strings.Contains(got.out, "the switch is not remembered") || got.err != "fairlead: read the journal: the disk is gone\n" {
		t.Errorf("follow: got %+v", got)
	}
}

// TestWaiting: a person is told once what an order waits for.
func TestWaiting(t *testing.T) {
	steps := []model.Step{model.StepNone, model.StepFence, model.StepFence, model.StepPromote, model.StepVerify, model.StepOrder, model.StepNone}
	gone := errors.New("no daemon answers")
	tick := make(chan time.Time, len(steps)+1)
	for range cap(tick) {
		tick <- time.Time{}
	}
	ask := func() (model.Status, error) {
		if len(steps) == 0 {
			return model.Status{}, gone
		}
		d := model.DirectorStatus{Name: "nfs", Desired: "nfs-01", To: "nfs-02", Step: steps[0]}
		steps = steps[1:]
		return model.Status{Directors: []model.DirectorStatus{{Name: "web", Step: model.StepVerify}, d}}, nil
	}
	var told []string
	err := waiting(t.Context(), tick, ask, func(what string) { told = append(told, what) }, "nfs")
	want := []string{
		"waiting for the fence hook, which stops nfs-01", "waiting for the promote hook of nfs-02",
		"waiting until nfs-02 passes its check", "waiting for an operator, who must say which server has the newest data",
	}
	if !slices.Equal(told, want) || !errors.Is(err, gone) {
		t.Errorf("got %q, %v", told, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := waiting(ended, nil, ask, nil, "nfs"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the order: got %v", err)
	}
}
